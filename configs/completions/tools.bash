# bash completion for onc, oping, operf, ocbr, oecho, obc, ovpn and irmd. Source
# it, or copy it to /usr/share/bash-completion/completions/onc and make links
# of the other names to it. irm.bash is for irm; o7gw has its own:
#
#     source <(o7gw completion bash)

# The options stand in the help of each program.
_ouroboros_options() {
    "$1" --help 2>/dev/null | grep -oE -- '(^|[ ,[])--?[A-Za-z][A-Za-z_-]*' | grep -oE -- '--?[A-Za-z][A-Za-z_-]*' | sort -u
}

_ouroboros_names() {
    irm --timeout 1s name list 2>/dev/null |
        awk -F'|' 'NR > 3 && NF > 2 { gsub(/ /, "", $2); print $2 }'
}

_ouroboros() {
    local program=$1 cur=$2 prev=$3 choices=""
    COMPREPLY=()
    case $program:$prev in
    *:--run-dir | *:--security-dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    *irmd:--config | *onc:-e | *onc:--exec)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    *irmd:--log-format) choices="o7s json text" ;;
    *irmd:--log-level) choices="error warning info debug protocol" ;;
    *operf:-t | *operf:--test) choices="uni bi" ;;
    *:-q | *:--qos) choices="raw best video voice data" ;;
    *:-n | *:--name | *:--server-name | *:--server_apn) choices=$(_ouroboros_names) ;;
    *)
        if [[ $cur == -* ]]; then
            choices=$(_ouroboros_options "$program")
        elif [[ $program == *onc ]]; then
            choices=$(_ouroboros_names)
        fi
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
}
complete -F _ouroboros onc oping operf ocbr oecho obc ovpn irmd
