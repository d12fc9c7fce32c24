#compdef queuectl
# Completion of queuectl command lines in zsh.

_queuectl() {
    local kind line value about
    local -a lines described
    lines=("${(@f)$("${words[1]/#\~/$HOME}" complete -- "${(@)words[1,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    kind=${lines[1]}
    case $kind in
        files) _files ;;
        folders) _files -/ ;;
        programs) _alternative 'commands:program:_command_names -e' 'files:file:_files' ;;
        values)
            for line in "${(@)lines[2,-1]}"; do
                value=${line%%$'\t'*}
                about=${line#*$'\t'}
                described+=("${value//:/\\:}${about:+:$about}")
            done
            # The newest jobs come first.
            (( $#described )) && _describe -V 'queuectl' described
            ;;
    esac
}

if [[ $funcstack[1] == _queuectl ]]; then
    _queuectl "$@"
elif (( $+functions[compdef] )); then
    compdef _queuectl queuectl
fi
