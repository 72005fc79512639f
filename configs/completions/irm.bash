# bash completion for irm. Copy to /usr/share/bash-completion/completions/irm,
# or source it. tools.bash is for the other programs.

# Column $2 of the table that irm $1 list prints.
_irm_column() {
    irm --timeout 1s "$1" list 2>/dev/null |
        awk -F'|' -v c="$2" 'NR > 3 && NF > 2 { gsub(/ /, "", $c); print $c }'
}

_irm() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=() i
    local types="unicast broadcast local udp4 udp6 eth-llc eth-dix" choices=""
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --) return ;;
        --run-dir | --timeout) ((i++)) ;;
        --*) ;;
        *) words+=("${COMP_WORDS[i]}") ;;
        esac
    done
    case $prev in
    --run-dir) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    --timeout) return ;;
    esac
    if [[ $cur == --* ]]; then
        choices="--help --json --run-dir --timeout"
        mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
        return
    fi
    case ${#words[@]},${words[0]} in
    0,*) choices="ipcp bind unbind name help process program flow status rib" ;;
    1,ipcp) choices="create destroy bootstrap enroll connect disconnect list help" ;;
    1,bind | 1,unbind) choices="program process ipcp help" ;;
    1,name) choices="create destroy register unregister list show help" ;;
    1,rib)
        # The entries of the directory that was typed so far.
        local dir=""
        [[ $cur == */* ]] && dir=${cur%/*}/
        choices=$(irm --timeout 1s rib "$dir" 2>/dev/null | sed "s|^|${dir//[|&\\]/}|")
        compopt -o nospace 2>/dev/null
        ;;
    1,process | 1,program | 1,flow) choices="list help" ;;
    2,name)
        case ${words[1]} in
        destroy | register | unregister | list | show) choices=$(_irm_column name 2) ;;
        esac
        ;;
    2,bind | 2,unbind)
        case ${words[1]} in
        program)
            mapfile -t COMPREPLY < <(compgen -c -- "$cur"; compgen -f -- "$cur")
            return
            ;;
        process) choices=$(_irm_column process 2) ;;
        ipcp) choices=$(_irm_column ipcp 3) ;;
        esac
        ;;
    *)
        case ${words[0]},${words[1]},$prev in
        ipcp,*,type) choices=$types ;;
        ipcp,create,name) ;;
        ipcp,*,name | name,*,ipcp) choices=$(_irm_column ipcp 3) ;;
        *,layer) choices=$(_irm_column ipcp 5 | grep -v '^Notenrolled') ;;
        bind,*,name | unbind,*,name) choices=$(_irm_column name 2) ;;
        ipcp,*,component) choices="mgmt dt" ;;
        ipcp,*,qos) choices="raw best video voice data" ;;
        ipcp,*,hash) choices="SHA3_224 SHA3_256 SHA3_384 SHA3_512" ;;
        ipcp,*,routing) choices="link_state lfa ecmp" ;;
        ipcp,*,congestion) choices="mb-ecn none" ;;
        name,create,lb) choices="round-robin spillover" ;;
        name,create,*path | ipcp,*,hosts-file)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
        ipcp,create,*) choices="type name" ;;
        ipcp,destroy,*) choices="name" ;;
        ipcp,bootstrap,*)
            choices="type layer name hash ip dns dev ethertype addr eid ttl port autobind addr_auth directory
                dht_alpha dht_k dht_t_expire dht_t_refresh dht_t_replicate routing
                ls_t_timeo ls_t_update ls_t_recalc congestion mtu host hosts-file"
            ;;
        ipcp,enroll,*) choices="name type layer dst autobind" ;;
        ipcp,connect,*) choices="name dst component qos" ;;
        ipcp,disconnect,*) choices="name dst component" ;;
        ipcp,list,*) choices="name type layer" ;;
        name,create,*) choices="lb sencpath scrtpath skeypath cencpath ccrtpath ckeypath srequire crequire" ;;
        name,register,* | name,unregister,*) choices="ipcp layer" ;;
        bind,program,*) choices="name auto --" ;;
        bind,* | unbind,*) choices="name" ;;
        esac
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
}
complete -F _irm irm
