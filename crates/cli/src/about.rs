//! What the help and the manual say about queuectl as a whole.

/// What queuectl is.
pub const ABOUT: &str = "A durable background job queue: jobs are kept in one file or on PostgreSQL, so they survive crashes and power cuts";

/// What comes behind the list of commands.
pub const EPILOGUE: &str = "\
Exit status:
  0    success
  1    the command ran, with a negative result: a drained node had dead jobs, a check found damage, a list could not \
be printed
  2    there is a mistake in the command line, a job or a setting
  3    no such job or node
  4    conflict: the id already exists, or the job's state does not allow it
  5    the queue cannot be used: it is missing, damaged, or belongs to another program or version
  6    the queue cannot be used right now: disk full, read-only, I/O error, locked, server unreachable
  7    an executor plugin was not found or did not load
  8    the server went away, so the job may or may not be stored: check before you repeat the command
  70   a bug in queuectl
  124  timed out (wait, worker:stop --wait)
  130  left by a second Ctrl-C (run)
`run`, `wait` and `enqueue --wait` exit with the job's own status, as a shell would report it. A command that \
changed something exits with the status of that change even if it cannot print; a warning then says what was done.

Examples:
  queuectl enqueue echo \"Hello Queue\"     a program and its arguments
  queuectl enqueue 'sleep 1 && date'      a shell command line
  queuectl worker:start --count 2         run jobs with two worker processes
  queuectl dlq:list                       which jobs failed for good, and why";
