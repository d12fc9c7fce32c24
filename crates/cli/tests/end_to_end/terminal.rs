//! A terminal in memory in which the binary runs.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};

use crate::support::unix::hear_signals;
use crate::support::{wait_explained, wait_until};

/// A terminal in which a program runs.
pub struct Terminal {
    pub program: Child,
    /// The side of the user.
    keys: File,
    /// The side of the program, open so that it can be looked at.
    side: Option<File>,
    before: Termios,
    screen: Arc<Mutex<vt100::Parser>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts a program in a terminal of that size, columns first.
    pub fn start(command: Command, size: (u16, u16)) -> Terminal {
        Terminal::with_room_for(size.1, command, size)
    }

    /// The same, where `rows` of what was printed can be read, although the program sees the size alone.
    pub fn with_room_for(rows: u16, mut command: Command, (width, height): (u16, u16)) -> Terminal {
        let size = Winsize {
            ws_row: height,
            ws_col: width,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(&size, None).unwrap();
        let (keys, side) = (File::from(pair.master), File::from(pair.slave));
        let before = tcgetattr(&side).unwrap();
        command
            .env("TERM", "xterm-256color")
            .stdin(Stdio::from(side.try_clone().unwrap()))
            .stdout(Stdio::from(side.try_clone().unwrap()))
            .stderr(Stdio::from(side.try_clone().unwrap()));
        hear_signals(&mut command);
        let program = command.spawn().unwrap();
        // Its copies of the side would keep the output open.
        drop(command);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(
            rows.try_into().unwrap(),
            width.try_into().unwrap(),
            0,
        )));
        let (seen, mut output) = (Arc::clone(&screen), keys.try_clone().unwrap());
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with an error once the program's side is closed.
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                seen.lock().unwrap().process(&bytes[..read]);
            }
        });
        Terminal {
            program,
            keys,
            side: Some(side),
            before,
            screen,
            reader: Some(reader),
        }
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    pub fn contents(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// The lines of the screen, also those that a longer line is wrapped to.
    pub fn rows(&self) -> String {
        let screen = self.screen.lock().unwrap();
        let width = screen.screen().size().1;
        let rows: Vec<String> = screen.screen().rows(0, width.get()).collect();
        rows.join("\n")
    }

    pub fn wait(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let look = || holds(&self.contents()).then_some(());
        wait_explained(what, look, || self.contents());
    }

    pub fn wait_shows(&self, text: &str) {
        self.wait(text, |screen| screen.contains(text));
    }

    /// Waits for the end, and returns all that was printed.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "screens are captured on Linux")
    )]
    pub fn printed(mut self) -> String {
        self.program.wait().unwrap();
        // The reader ends when no process has the side open and all that was written is read.
        drop(self.side.take());
        self.reader.take().map(JoinHandle::join);
        self.rows()
    }

    /// Waits for the end, and checks that the terminal is as it was before.
    pub fn ends(mut self) -> i32 {
        let status = self.program.wait().unwrap().code().unwrap();
        wait_until("the last output", || {
            let screen = self.screen.lock().unwrap();
            let screen = screen.screen();
            !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
        });
        let after = self.side.as_ref().map(|side| tcgetattr(side).unwrap());
        assert_eq!(after.as_ref(), Some(&self.before), "the modes of the terminal");
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
