# Completion of queuectl command lines in bash.

_queuectl() {
    # Bash splits words at the characters of COMP_WORDBREAKS, also at ":" and "=". What stands together is joined again.
    local rest=${COMP_LINE:0:COMP_POINT} trimmed piece i last=-1
    local -a words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        piece=${COMP_WORDS[i]}
        trimmed=${rest#"${rest%%[![:space:]]*}"}
        if ((last < 0)) || [[ $trimmed != "$rest" ]]; then
            last=$((last + 1))
            words[last]=
        fi
        # The last word ends at the cursor.
        ((i < COMP_CWORD)) || piece=$trimmed
        words[last]+=$piece
        rest=${trimmed#"$piece"}
    done
    local current=${words[last]} program=${1/#\~/$HOME}

    local kind= value about
    local -a values=()
    while IFS=$'\t' read -r value about; do
        if [[ -z $kind ]]; then
            kind=$value
        else
            values+=("$value")
        fi
    done < <("$program" complete -- "${words[@]}" 2>/dev/null)

    COMPREPLY=()
    case $kind in
    files) compopt -o default 2>/dev/null ;;
    folders) compopt -o dirnames 2>/dev/null ;;
    programs)
        while IFS= read -r value; do
            COMPREPLY+=("$value")
        done < <(compgen -c -- "$current")
        [[ $current != */* ]] || compopt -o default 2>/dev/null
        ;;
    values)
        # The newest jobs come first.
        compopt -o nosort 2>/dev/null
        # What stands before the last break stays as it is.
        local fixed=
        if [[ $current == *[:=]* ]]; then
            local tail=${current##*[:=]}
            [[ $COMP_WORDBREAKS == *[:=]* ]] && fixed=${current%"$tail"}
        fi
        for value in "${values[@]}"; do
            value=${value#"$fixed"}
            [[ $value == *[!A-Za-z0-9_.:=@%+,/-]* ]] && printf -v value %q "$value"
            COMPREPLY+=("$value")
        done
        ;;
    esac
}

complete -F _queuectl queuectl
