//! The names of the guards that can be switched off.

use queuectl_storage::sim::Guard;

/// Every guard with its name on the command line.
pub const GUARDS: [(&str, Guard); 19] = [
    ("fencing", Guard::Fencing),
    ("lease", Guard::Lease),
    ("sweep", Guard::Sweep),
    ("attempts", Guard::Attempts),
    ("commit", Guard::Commit),
    ("limits", Guard::Limits),
    ("slots", Guard::Slots),
    ("busy", Guard::Busy),
    ("ticks", Guard::Ticks),
    ("dependencies", Guard::Dependencies),
    ("order", Guard::Order),
    ("keys", Guard::Keys),
    ("successors", Guard::Successors),
    ("pauses", Guard::Pauses),
    ("ledger", Guard::Ledger),
    ("groups", Guard::Groups),
    ("callbacks", Guard::Callbacks),
    ("hooks", Guard::Hooks),
    ("added-hooks", Guard::AddedHooks),
];
