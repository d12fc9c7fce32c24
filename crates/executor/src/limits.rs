//! What a process may be limited to, as a plugin asks for it.
//!
//! Only what makes no sense anywhere is refused here; what this system or this node cannot do is found out when the
//! process is started.

use queuectl_core::TerminalSize;
use queuectl_plugin_api::abi::{
    QC_RLIM_KEEP, QC_RLIM_UNLIMITED, QC_RLIMIT_AS, QC_RLIMIT_CORE, QC_RLIMIT_CPU, QC_RLIMIT_DATA,
    QC_RLIMIT_FSIZE, QC_RLIMIT_MEMLOCK, QC_RLIMIT_NOFILE, QC_RLIMIT_NPROC, QC_RLIMIT_STACK, qc_rlimit,
};

/// Everything that is done to a process before its program starts. Nothing of it by default.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) umask: Option<u32>,
    pub(crate) nice: Option<i32>,
    pub(crate) rlimits: Vec<Rlimit>,
    pub(crate) memory: Option<u64>,
    pub(crate) pids: Option<u64>,
    pub(crate) user: Option<String>,
    /// Bytes that it finds as a file, at descriptor 3.
    pub(crate) file: Option<Vec<u8>>,
    /// The terminal that its output goes to, of which it becomes the leader of a session. Jobs ask for it, not plugins.
    pub(crate) terminal: Option<TerminalSize>,
}

/// A limit of the operating system. None leaves a value as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rlimit {
    pub(crate) resource: u32,
    pub(crate) soft: Option<u64>,
    pub(crate) hard: Option<u64>,
}

impl Rlimit {
    #[cfg_attr(windows, expect(dead_code, reason = "there are no such limits on Windows"))]
    pub(crate) const UNLIMITED: u64 = QC_RLIM_UNLIMITED;

    pub(crate) fn from_abi(limit: &qc_rlimit) -> Rlimit {
        let value = |value| (value != QC_RLIM_KEEP).then_some(value);
        Rlimit {
            resource: limit.resource,
            soft: value(limit.soft),
            hard: value(limit.hard),
        }
    }

    /// The name that people know, such as `nofile`; none if there is no such resource.
    pub(crate) fn name(&self) -> Option<&'static str> {
        Some(match self.resource {
            QC_RLIMIT_CPU => "cpu",
            QC_RLIMIT_NOFILE => "nofile",
            QC_RLIMIT_CORE => "core",
            QC_RLIMIT_FSIZE => "fsize",
            QC_RLIMIT_AS => "as",
            QC_RLIMIT_NPROC => "nproc",
            QC_RLIMIT_STACK => "stack",
            QC_RLIMIT_DATA => "data",
            QC_RLIMIT_MEMLOCK => "memlock",
            _ => return None,
        })
    }

    fn check(&self) -> Result<(), String> {
        let name = self
            .name()
            .ok_or_else(|| format!("there is no limit of the number {}", self.resource))?;
        match (self.soft, self.hard) {
            (Some(soft), Some(hard)) if soft > hard => {
                Err(format!("the soft limit of {name} is above the hard limit"))
            }
            _ => Ok(()),
        }
    }
}

impl Limits {
    /// Whether the process is started as it always is.
    pub(crate) fn are_none(&self) -> bool {
        *self == Limits::default()
    }

    /// The same with that soft limit of open files, unless there is one of its own.
    pub(crate) fn with_open_files(&self, soft: Option<u64>) -> Limits {
        let mut limits = self.clone();
        let Some(soft) = soft else {
            return limits;
        };
        let mut own = limits.rlimits.iter_mut();
        match own.find(|limit| limit.resource == QC_RLIMIT_NOFILE) {
            Some(limit) => {
                let most = limit.hard.map_or(soft, |hard| hard.min(soft));
                limit.soft.get_or_insert(most);
            }
            None => limits.rlimits.push(Rlimit {
                resource: QC_RLIMIT_NOFILE,
                soft: Some(soft),
                hard: None,
            }),
        }
        limits
    }

    /// Checks what makes no sense anywhere.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(mask) = self.umask.filter(|mask| *mask > 0o777) {
            return Err(format!(
                "{mask:o} is not a umask; it has at most three octal digits"
            ));
        }
        if let Some(nice) = self.nice.filter(|nice| !(-20..=19).contains(nice)) {
            return Err(format!("a niceness of {nice} is out of range; use -20 to 19"));
        }
        for (i, limit) in self.rlimits.iter().enumerate() {
            limit.check()?;
            if self.rlimits[..i]
                .iter()
                .any(|other| other.resource == limit.resource)
            {
                return Err(format!(
                    "the limit {} is there twice",
                    limit.name().unwrap_or_default()
                ));
            }
        }
        if self.memory == Some(0) || self.pids == Some(0) {
            return Err("a limit of 0 for memory or processes lets nothing run".to_owned());
        }
        match &self.user {
            Some(user) if user.is_empty() || user.contains('\0') => {
                Err(format!("'{}' is not a user", user.escape_debug()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rlimit(resource: u32, soft: u64, hard: u64) -> Rlimit {
        Rlimit::from_abi(&qc_rlimit {
            resource,
            reserved: 0,
            soft,
            hard,
        })
    }

    fn said(limits: Limits) -> String {
        limits.check().err().unwrap_or_default()
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let none = Limits::default;
        assert!(none().are_none());
        assert_eq!(none().check(), Ok(()));
        let umask = |umask| Limits {
            umask: Some(umask),
            ..none()
        };
        assert_eq!(said(umask(0o777)), "");
        assert!(said(umask(0o1000)).contains("1000 is not a umask"));
        let nice = |nice| Limits {
            nice: Some(nice),
            ..none()
        };
        assert_eq!(said(nice(-20)), "");
        assert!(said(nice(20)).contains("-20 to 19"));
        let memory = Limits {
            memory: Some(0),
            ..none()
        };
        assert!(said(memory).contains("a limit of 0"));
        let user = Limits {
            user: Some(String::new()),
            ..none()
        };
        assert!(said(user).contains("is not a user"));
    }

    #[test]
    fn a_raised_limit_of_open_files_is_not_handed_on() {
        let with = |own: &[Rlimit], soft| {
            let limits = Limits {
                rlimits: own.to_vec(),
                ..Limits::default()
            };
            limits.with_open_files(soft).rlimits
        };
        assert_eq!(with(&[], None), []);
        let given = rlimit(QC_RLIMIT_NOFILE, 1024, QC_RLIM_KEEP);
        let other = rlimit(QC_RLIMIT_CORE, 0, 0);
        assert_eq!(with(&[other], Some(1024)), [other, given]);
        let own = rlimit(QC_RLIMIT_NOFILE, 7, QC_RLIM_KEEP);
        assert_eq!(with(&[own], Some(1024)), [own]);
        let hard = |hard, soft| rlimit(QC_RLIMIT_NOFILE, soft, hard);
        assert_eq!(with(&[hard(100, QC_RLIM_KEEP)], Some(1024)), [hard(100, 100)]);
        assert_eq!(with(&[hard(5000, QC_RLIM_KEEP)], Some(1024)), [hard(5000, 1024)]);
    }

    #[test]
    fn limits_of_the_system_are_checked_one_by_one() {
        let rlimits = |rlimits: &[Rlimit]| {
            said(Limits {
                rlimits: rlimits.to_vec(),
                ..Limits::default()
            })
        };
        let good = rlimit(QC_RLIMIT_NOFILE, 10, QC_RLIM_UNLIMITED);
        assert_eq!(rlimits(&[good]), "");
        assert_eq!(rlimits(&[rlimit(QC_RLIMIT_CORE, 10, QC_RLIM_KEEP)]), "");
        assert!(rlimits(&[good, good]).contains("nofile is there twice"));
        assert!(rlimits(&[rlimit(QC_RLIMIT_AS, 10, 9)]).contains("soft limit of as"));
        assert!(rlimits(&[rlimit(99, 1, 1)]).contains("number 99"));
    }
}
