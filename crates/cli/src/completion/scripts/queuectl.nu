# Completion of queuectl command lines in Nushell. Lines of other programs are left to the completer that was there before.

let queuectl_others = $env.config?.completions?.external?.completer?

$env.config.completions.external.enable = true
$env.config.completions.external.completer = {|spans: list<string>|
    if ($spans.0 | path basename) not-in [queuectl queuectl.exe] {
        if $queuectl_others == null { null } else { do $queuectl_others $spans }
    } else {
        let lines = (^$spans.0 complete -- ...$spans | complete | get stdout | lines)
        match ($lines.0? | default "") {
            "values" => ($lines | skip 1 | each {|line|
                let parts = ($line | split row "\t")
                let value = if ($parts.0 =~ '[^\w.:=@%+,/~-]') { $parts.0 | to nuon } else { $parts.0 }
                {value: $value, description: ($parts.1? | default "")}
            })
            # Files, folders and programs are completed by the shell.
            _ => null
        }
    }
}
