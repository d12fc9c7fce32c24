//! Users by name or number: who a job runs as.
//!
//! Looking one up may ask a directory service and so take a while; only jobs that name a user pay for it.

use std::ffi::CString;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Gid, Group, Uid, fchown, getegid, geteuid};

/// A user with the groups that the process gets.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<libc::gid_t>,
    name: String,
    home: Option<String>,
}

impl User {
    /// The user that a text `USER[:GROUP]` names, each by name or number.
    ///
    /// # Errors
    /// What there is not, in words.
    pub(crate) fn find(text: &str) -> Result<User, String> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let broken = |errno: Errno| format!("cannot look up the user '{text}': {}", errno.desc());
        let by_name = nix::unistd::User::from_name(user).map_err(broken)?;
        let number = user.parse().ok().map(Uid::from_raw);
        let known = match (by_name, number) {
            (None, Some(uid)) => nix::unistd::User::from_uid(uid).map_err(broken)?,
            (found, _) => found,
        };
        let gid = match group {
            Some(group) => {
                let by_name = Group::from_name(group).map_err(broken)?.map(|group| group.gid);
                let gid = by_name.or_else(|| group.parse().ok().map(Gid::from_raw));
                Some(gid.ok_or_else(|| format!("there is no group '{group}' on this machine"))?)
            }
            None => None,
        };
        match (known, number, gid) {
            (Some(known), ..) => {
                let gid = gid.unwrap_or(known.gid);
                Ok(User {
                    uid: known.uid,
                    gid,
                    groups: groups_of(&known.name, gid).map_err(broken)?,
                    home: known.dir.into_os_string().into_string().ok(),
                    name: known.name,
                })
            }
            // A number needs no entry, if it says its group, too.
            (None, Some(uid), Some(gid)) => Ok(User {
                uid,
                gid,
                groups: vec![gid.as_raw()],
                name: user.to_owned(),
                home: None,
            }),
            (None, Some(uid), None) => Err(format!(
                "the user {uid} has no entry on this machine, so its group has to be named: '{uid}:GID'"
            )),
            (None, None, _) => Err(format!("there is no user '{user}' on this machine")),
        }
    }

    /// Whether this process is that user already.
    pub(super) fn is_current(&self) -> bool {
        self.uid == geteuid() && self.gid == getegid()
    }

    /// What tells programs who they run as.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("USER", self.name.as_str()),
            ("LOGNAME", self.name.as_str()),
            ("HOME", self.home.as_deref().unwrap_or("/")),
        ]
        .into_iter()
    }

    /// Makes the user the owner of a stream that it is given.
    pub(super) fn own(&self, stream: impl AsFd) {
        if !self.is_current() {
            // Without it only opening the stream by its path fails.
            let _ = fchown(stream, Some(self.uid), Some(self.gid));
        }
    }
}

/// A user's supplementary groups, with `gid` among them.
#[cfg(not(target_vendor = "apple"))]
fn groups_of(name: &str, gid: Gid) -> nix::Result<Vec<libc::gid_t>> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let groups = nix::unistd::getgrouplist(&name, gid)?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}

/// The same; no more than 16 can be set here.
#[cfg(target_vendor = "apple")]
fn groups_of(name: &str, gid: Gid) -> nix::Result<Vec<libc::gid_t>> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let mut groups = [0 as libc::c_int; 16];
    let mut count = 16;
    // SAFETY: the name ends with a NUL byte, and the list has room for as many as `count` says.
    unsafe {
        libc::getgrouplist(
            name.as_ptr(),
            gid.as_raw() as libc::c_int,
            groups.as_mut_ptr(),
            &raw mut count,
        )
    };
    let known = usize::try_from(count).unwrap_or(0).min(groups.len());
    Ok(groups[..known]
        .iter()
        .map(|group| *group as libc::gid_t)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let root = User::find("root").unwrap();
        assert_eq!(
            (root.uid.as_raw(), root.gid.as_raw(), root.name.as_str()),
            (0, 0, "root")
        );
        assert_eq!(User::find("0").unwrap().name, "root");
        let numbers = User::find("4000000:4000001").unwrap();
        assert_eq!(
            (numbers.uid.as_raw(), &*numbers.groups),
            (4_000_000, &[4_000_001][..])
        );
        assert!(root.environment().any(|pair| pair == ("USER", "root")));
    }

    #[test]
    fn who_is_not_there_is_named() {
        let why = |text| User::find(text).unwrap_err();
        assert!(why("no-such-user").contains("no user 'no-such-user'"));
        assert!(why("root:no-such-group").contains("no group 'no-such-group'"));
        assert!(why("4000000").contains("'4000000:GID'"));
    }
}
