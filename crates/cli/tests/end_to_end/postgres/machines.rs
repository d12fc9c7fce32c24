//! Machines of their own, as far as queuectl can tell: each has a network, process numbers and a data folder of its
//! own, and its connection can be cut, also in one direction only.
//!
//! What is lost is lost silently, as on a bad wire: it gets an Ethernet address that no machine has. That takes no
//! packet filter, only `ip`.

use std::fs;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::unix::{processes, within};
use crate::support::{MARK, Node, Queue};

/// What does not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Everything does.
    None,
    /// Nothing does.
    Both,
    /// What the machine sends.
    Out,
    /// What is sent to the machine.
    In,
}

/// A network with some machines, and this one as the server.
pub struct Network {
    number: u8,
    machines: usize,
}

impl Network {
    /// None, and said so, where that cannot be made.
    pub fn new(test: &str, machines: usize) -> Option<Network> {
        let skip = |why: &str| {
            queuectl_testkit::skipped(test, why);
            None
        };
        if !nix::unistd::Uid::effective().is_root() {
            return skip("only root can make network namespaces");
        }
        if Command::new("ip").arg("-V").output().is_err() {
            return skip("there is no `ip`; install iproute2");
        }
        // The name of the bridge makes the number ours.
        let mut said = String::new();
        let mut is_free = |number: &u8| {
            let made = try_ip(&format!("link add {} type bridge", bridge(*number)));
            made.map_err(|error| said = error).is_ok()
        };
        let Some(number) = (1..=250).find(&mut is_free) else {
            return skip(&format!("no network namespaces can be made here: {said}"));
        };
        let network = Network { number, machines };
        let (own, address) = (network.bridge(), network.address());
        ip(&format!("link set {own} address {} up", network.ethernet(0)));
        ip(&format!("addr add {address}/24 dev {own}"));
        for machine in 1..=machines {
            let (name, there) = (network.name(machine), network.address_of(machine));
            if let Err(said) = try_ip(&format!("netns add {name}")) {
                return skip(&format!("no network namespaces can be made here: {said}"));
            }
            let wire = network.wire(machine);
            let ethernet = network.ethernet(machine);
            ip(&format!("link add {wire} type veth peer name eth0 netns {name}"));
            ip(&format!("link set {wire} master {own} up"));
            ip(&format!("-n {name} link set eth0 address {ethernet} up"));
            ip(&format!("-n {name} link set lo up"));
            ip(&format!("-n {name} addr add {there}/24 dev eth0"));
            network.cut(machine, Cut::None);
        }
        Some(network)
    }

    /// Where the server is to listen.
    pub fn address(&self) -> String {
        self.address_of(0)
    }

    /// Cuts a machine off, or connects it again.
    pub fn cut(&self, machine: usize, cut: Cut) {
        let to = |lost: bool, machine: usize| match lost {
            true => "02:d5:00:00:00:00".to_owned(),
            false => self.ethernet(machine),
        };
        let out = to(matches!(cut, Cut::Both | Cut::Out), 0);
        let back = to(matches!(cut, Cut::Both | Cut::In), machine);
        let (name, here, there) = (self.name(machine), self.address(), self.address_of(machine));
        ip(&format!(
            "-n {name} neigh replace {here} lladdr {out} dev eth0 nud permanent"
        ));
        let own = self.bridge();
        ip(&format!(
            "neigh replace {there} lladdr {back} dev {own} nud permanent"
        ));
    }

    /// Starts a node on a machine; jobs find its number in `MACHINE`. It is not waited for.
    pub fn start(&self, queue: &Queue, machine: usize, args: &[&str]) -> Node {
        let data = queue.path(&format!("machine-{machine}"));
        Node::start_command(queue, &[&["worker:start"], args].concat(), |command| {
            command
                .env("XDG_DATA_HOME", &data)
                .env("MACHINE", machine.to_string());
            let mut outer = Command::new("ip");
            outer.args(["netns", "exec", &self.name(machine), "unshare", "--pid", "--fork"]);
            outer.args(["--kill-child", "--mount-proc", "--"]);
            *command = within(outer, command);
        })
    }

    fn bridge(&self) -> String {
        bridge(self.number)
    }

    fn name(&self, machine: usize) -> String {
        format!("qc{}m{machine}", self.number)
    }

    /// The server's end of a machine's wire.
    fn wire(&self, machine: usize) -> String {
        format!("qc{}w{machine}", self.number)
    }

    fn address_of(&self, machine: usize) -> String {
        format!("10.213.{}.{}", self.number, machine + 1)
    }

    fn ethernet(&self, machine: usize) -> String {
        format!("02:d5:00:{:02x}:00:{:02x}", self.number, machine + 1)
    }
}

fn bridge(number: u8) -> String {
    format!("qc{number}")
}

impl Drop for Network {
    fn drop(&mut self) {
        for machine in 1..=self.machines {
            // The kernel empties a namespace later than it removes its name, and the wire would be there until then: a
            // network that gets the same number in the meantime could not make its own.
            let _ = try_ip(&format!("link del {}", self.wire(machine)));
            let _ = try_ip(&format!("netns del {}", self.name(machine)));
        }
        // Last: this name is what makes the number ours.
        let _ = try_ip(&format!("link del {}", self.bridge()));
    }
}

fn ip(words: &str) {
    try_ip(words).unwrap_or_else(|said| panic!("ip {words}: {said}"));
}

fn try_ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

impl Node {
    /// What queuectl itself runs on the node's machine, and what its jobs do.
    fn split(&self) -> (Vec<i32>, Vec<i32>) {
        let mark = format!("{MARK}={}", self.mark());
        let read = |pid: &i32, file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let has = |pid: &i32, wanted: &[u8]| {
            let environment = read(pid, "environ");
            environment
                .split(|byte| *byte == 0)
                .any(|entry| entry.starts_with(wanted))
        };
        let ours = processes().filter(|pid| has(pid, mark.as_bytes()));
        let ours = ours.filter(|pid| !read(pid, "cmdline").is_empty());
        ours.partition(|pid| !has(pid, b"QUEUECTL_JOB_ID="))
    }

    /// The processes of jobs that run there.
    pub fn of_jobs(&self) -> Vec<i32> {
        self.split().1
    }

    /// Stops queuectl there, or has it go on. Its jobs go on in any case.
    pub fn signal_all_but_jobs(&self, signal: Signal) {
        for pid in self.split().0 {
            // One that has just ended needs no signal.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}
