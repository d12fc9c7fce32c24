//! How fast jobs go through the host, compared with starting the same process by hand.
//!
//! Both sides run two at a time: two processes with a host each (a process has one), and two threads that call
//! `Command::output`. Build the shell plugin first:
//! `cargo build --release -p queuectl-plugin-shell && cargo bench -p queuectl-executor --bench spawn_rate`
//!
//! Words that may follow: the number of jobs, and their payload, to see what limits cost: `-- 4000 '{"umask":"022"}'`.

#[cfg(not(unix))]
fn main() {
    println!("this comparison needs process groups, which this system does not have");
}

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo bench` adds the last one.
    let mut args = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let first = args.next();
    if first.as_deref() == Some("host") {
        let jobs = args.next().unwrap_or_default().parse()?;
        return unix::host(jobs, &args.next().unwrap_or_default());
    }
    let payload = args.next().unwrap_or_else(|| "{}".to_owned());
    unix::compare(first.map_or(Ok(4000), |jobs| jobs.parse())?, &payload)
}

#[cfg(unix)]
mod unix {
    use std::error::Error;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    use queuectl_core::JobId;
    use queuectl_core::settings::Leftovers;
    use queuectl_executor::{Host, HostConfig, PluginSettings, Report, Run, RunKey, SearchPath, processes};

    /// Runs `jobs` jobs on two sides and prints both rates.
    pub fn compare(jobs: u32, payload: &str) -> Result<(), Box<dyn Error>> {
        for round in 1..=3 {
            let bare = rate(jobs, || bare(jobs / 2))?;
            let hosted = rate(jobs, || hosted(jobs / 2, payload))?;
            println!(
                "round {round}: bare {bare:.0}/s, host {hosted:.0}/s, ratio {:.2}",
                hosted / bare
            );
        }
        Ok(())
    }

    fn rate(jobs: u32, run: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
        let begun = Instant::now();
        run()?;
        Ok(f64::from(jobs) / begun.elapsed().as_secs_f64())
    }

    fn bare(each: u32) -> Result<(), Box<dyn Error>> {
        let work = move || {
            for _ in 0..each {
                Command::new("/bin/sh")
                    .args(["-c", "true"])
                    .process_group(0)
                    .output()?;
            }
            Ok::<(), std::io::Error>(())
        };
        let threads = [std::thread::spawn(work), std::thread::spawn(work)];
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    }

    fn hosted(each: u32, payload: &str) -> Result<(), Box<dyn Error>> {
        let exe = std::env::current_exe()?;
        let start = || {
            Command::new(&exe)
                .args(["host", &each.to_string(), payload])
                .spawn()
        };
        for mut child in [start()?, start()?] {
            if !child.wait()?.success() {
                return Err("a host failed".into());
            }
        }
        Ok(())
    }

    /// One process: a host with one job at a time and one more waiting.
    pub fn host(jobs: i64, payload: &str) -> Result<(), Box<dyn Error>> {
        processes::become_subreaper()?;
        let exe = std::env::current_exe()?;
        let folder = exe.ancestors().nth(2).ok_or("no target folder")?;
        let (send, finished) = channel();
        let config = HostConfig {
            call_record: None,
            search: SearchPath::new([folder.to_owned()]),
            settings: PluginSettings {
                shell: "sh".to_owned(),
                ..PluginSettings::default()
            },
            mark: "rate.1".to_owned(),
            call_limit: queuectl_executor::CALL_LIMIT,
            cookie: format!("rate-{}", std::process::id()),
        };
        let host = Host::new(config, move |report| {
            if let Report::Finished(finished) = report {
                let _ = send.send(finished.outcome);
            }
        })?;
        for number in 0..jobs {
            host.start(run(number, payload)?);
            let outcome = finished.recv()?;
            if outcome.exit_code != Some(0) {
                return Err(outcome.message.into());
            }
        }
        host.shut_down();
        Ok(())
    }

    fn run(number: i64, payload: &str) -> Result<Run, Box<dyn Error>> {
        Ok(Run {
            key: RunKey {
                job: JobId(number),
                fence: number,
            },
            public_id: number.to_string(),
            attempt: 1,
            queue: "default".to_owned(),
            executor: "shell".parse()?,
            terminal: None,
            parents: None,
            groups: None,
            checkpoint: None,
            payload: format!(r#"{{"command":"true","payload":{payload}}}"#),
            timeout: Some(Duration::from_secs(60)),
            kill_grace: Duration::from_secs(5),
            leftovers: Leftovers::Kill,
            output_limit: 65536,
            output_file_limit: 1 << 20,
            output_file: std::env::temp_dir().join("spawn-rate").join(number.to_string()),
            used: Duration::ZERO,
        })
    }
}
