# Completes lapstrake's commands, flags, and the images, variants and platforms of the recipe that -f names.
_lapstrake() {
    local line="${COMP_LINE:0:COMP_POINT}" words=() current kept index
    # No word is a pattern here.
    local -
    set -f
    read -ra words <<<"$line"
    # A new word begins behind a blank.
    [[ $line == *[[:space:]] ]] && words+=("")
    current="${words[${#words[@]} - 1]}"
    local IFS=$'\013'
    COMPREPLY=($(_CLAP_IFS="$IFS" _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) LAPSTRAKE_COMPLETE=bash \
        "${words[0]}" -- "${words[@]}" 2>/dev/null)) || COMPREPLY=()
    # Of NAME:VARIANT and --flag=VALUE, bash takes what is behind the last sign for the word.
    kept="${current%"${current##*[=:]}"}"
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    # Names of files may hold anything: what is put on the line is one word, and no command.
    for index in "${!COMPREPLY[@]}"; do
        printf -v "COMPREPLY[index]" %q "${COMPREPLY[index]}"
    done
}
complete -o bashdefault -o default -F _lapstrake lapstrake
