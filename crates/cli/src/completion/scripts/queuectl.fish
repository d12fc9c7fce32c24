# Completion of queuectl command lines in fish.

function __queuectl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines (command $words[1] complete -- $words "$current" 2>/dev/null)
    switch "$lines[1]"
        case files
            __fish_complete_path "$current"
        case folders
            __fish_complete_directories "$current"
        case programs
            complete -C "$current"
        case values
            if set -q lines[2]
                printf '%s\n' $lines[2..-1]
            end
    end
end

complete -c queuectl -f -k -a '(__queuectl_complete)'
