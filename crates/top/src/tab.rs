//! The tabs, by their names and order.

/// The tabs, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Overview,
    Jobs,
    Queues,
    Limits,
    Groups,
    Schedules,
    Dead,
    Nodes,
    Events,
}

impl Tab {
    pub const ALL: [Tab; 9] = [
        Tab::Overview,
        Tab::Jobs,
        Tab::Queues,
        Tab::Limits,
        Tab::Groups,
        Tab::Schedules,
        Tab::Dead,
        Tab::Nodes,
        Tab::Events,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Tab::Overview => "overview",
            Tab::Jobs => "jobs",
            Tab::Queues => "queues",
            Tab::Limits => "limits",
            Tab::Groups => "groups",
            Tab::Schedules => "schedules",
            Tab::Dead => "dead",
            Tab::Nodes => "nodes",
            Tab::Events => "events",
        }
    }

    /// Its place among the tabs.
    pub fn index(self) -> usize {
        Tab::ALL.iter().position(|tab| *tab == self).unwrap_or(0)
    }

    /// Whether its filter is a selector of jobs; other tabs look for a part of a text in their rows.
    pub fn takes_selector(self) -> bool {
        self == Tab::Jobs
    }

    /// Whether it has a filter at all.
    pub fn takes_filter(self) -> bool {
        self != Tab::Overview
    }
}
