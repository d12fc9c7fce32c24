//! Looking after a store: check, size, backup, compaction, and what a node tidies up now and then.

use std::collections::BTreeSet;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use queuectl_core::NodeId;

use super::verify::verify;
use crate::backend::CheckReport;
use crate::schema::jobs;
use crate::state_dir::StateDir;
use crate::state_dir::outputs::{self, Outputs};
use crate::{Store, StoreError, counts};

/// Files that are looked at to say how large the folder beside a store is.
const FOLDER_FILES: u32 = 100_000;

impl Store {
    /// Checks the database's structure, its indexes, the links between its rows and their checksums. Reads all of it.
    ///
    /// # Errors
    /// [`StoreError::Database`] if it cannot be read for another reason than damage.
    pub fn check(&mut self) -> Result<CheckReport, StoreError> {
        self.backend.check(verify)
    }

    /// How much the files in the folder take that belongs to the store on this machine: long outputs and logs. Of very many
    /// files, the first 100,000 count.
    pub fn folder_bytes(&self) -> u64 {
        let mut folders = vec![self.location().state_dir()];
        let (mut bytes, mut seen) = (0, 0);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                seen += 1;
                if seen > FOLDER_FILES {
                    return bytes;
                }
                // A link is not followed.
                match entry.metadata() {
                    Ok(data) if data.is_dir() => folders.push(entry.path()),
                    Ok(data) => bytes += data.len(),
                    Err(_) => {}
                }
            }
        }
        bytes
    }

    /// How much the store takes on the disk.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn bytes(&mut self) -> Result<u64, StoreError> {
        self.backend.bytes()
    }

    /// Copies the store to a new file while nodes go on working. The copy is one consistent moment; it appears when it is
    /// complete and on the disk.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if the target exists already.
    pub fn backup(&mut self, target: &Path) -> Result<(), StoreError> {
        match self.backend.backup(target)? {
            true => Ok(()),
            false => self.copy_to_file(target, |_| {}).map(drop),
        }
    }

    /// Rewrites the file without free pages, which gives their space back to the file system; recounts the jobs, and
    /// removes outputs of jobs that are gone. Blocks all other writers; the disk needs room for a second copy.
    ///
    /// # Errors
    /// [`StoreError::NodesLive`] while a node runs, for its jobs' outcomes would wait for too long.
    pub fn compact(&mut self) -> Result<(), StoreError> {
        if self.nodes_with_lives()?.iter().any(|(_, lives)| *lives) {
            return Err(StoreError::NodesLive);
        }
        // Left over from a purge that was killed between its commit and the removal of the files.
        let outputs = self.own_outputs()?;
        outputs::remove_put_away(&self.location().state_dir());
        let gone = self.gone(&outputs)?;
        outputs.remove(&gone);
        self.write(|conn| {
            // So that none is forgotten.
            conn.dialect().lock_jobs()?;
            Ok(conn.batch_execute(counts::RECOUNT)?)
        })?;
        self.backend.compact()
    }

    /// What a node does now and then. Removes files that nodes left which are no more, and requests for signals that came too
    /// late. On a server: folds what was added to the counts, and removes long outputs on this machine of jobs that are gone,
    /// for a node of another machine may have removed those.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn tidy_up(&mut self) -> Result<(), StoreError> {
        let known: Vec<NodeId> = self.nodes()?.into_iter().map(|node| node.id).collect();
        StateDir::new(self.location()).remove_left(&known);
        self.forget_signals()?;
        self.forget_suspensions()?;
        self.forget_starts()?;
        if !self.backend.spans_machines() {
            return Ok(());
        }
        self.write(|conn| conn.dialect().fold_counts(None))?;
        let outputs = self.outputs()?;
        let gone = self.gone(&outputs)?;
        outputs.remove(&gone);
        Ok(())
    }

    /// How many jobs have long outputs on this machine and are gone. A purge that runs at this moment may be about to remove
    /// some.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn orphaned_outputs(&mut self) -> Result<u64, StoreError> {
        let outputs = self.outputs()?;
        Ok(self.gone(&outputs)?.len() as u64)
    }

    /// The jobs that have long outputs and are gone.
    fn gone(&mut self, outputs: &Outputs) -> Result<Vec<i64>, StoreError> {
        let mut gone = Vec::new();
        for some in outputs.jobs().chunks(500) {
            let query = jobs::table.filter(jobs::id.eq_any(some)).select(jobs::id);
            let there: BTreeSet<i64> = query.load(self.conn()?)?.into_iter().collect();
            gone.extend(some.iter().copied().filter(|id| !there.contains(id)));
        }
        Ok(gone)
    }
}
