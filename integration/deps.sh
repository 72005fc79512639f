#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Installs the programs that the whole-system tests and .ci/run use and that
# are missing here. Does nothing, in milliseconds, when all are there. Further
# program=package pairs can be given as arguments (.ci/run asks for gcc=gcc,
# which the race detector needs).
set -euo pipefail

need=(iperf3=iperf3 nc=netcat-openbsd curl=curl ip=iproute2 ping=iputils-ping ps=procps
      knotd=knot nft=nftables tar=tar ssh=openssh-client sshd=openssh-server openssl=openssl
      dig=bind9-dnsutils git=git chromium=chromium quakestat=qstat openarena-server=openarena-server
      pasta=passt slirp4netns=slirp4netns dbus-daemon=dbus "$@")
PATH=$PATH:/usr/sbin:/usr/games # of daemons and games, not in everybody's
missing=()
for pair in "${need[@]}"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || missing+=("${pair#*=}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

give_up() {
    echo "deps.sh: missing here: ${missing[*]}" >&2
    echo "deps.sh: $1" >&2
    exit 1
}

command -v apt-get >/dev/null 2>&1 ||
    give_up "no apt-get on this system: install these packages (Debian's names) by hand"
if [ "$(id -u)" -eq 0 ]; then
    run=()
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    run=(sudo -n)
else
    give_up "needs root: run  sudo apt-get install ${missing[*]}"
fi

echo "deps.sh: installing ${missing[*]}" >&2
# The tests start knotd and sshd as their children; Debian's packages would
# start them as services, too. Their maintainer scripts ask policy-rc.d, where
# 101 means no. A policy that is there already is not ours to change.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    "${run[@]}" sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
    trap '"${run[@]}" rm -f "$policy"' EXIT
fi
apt() { "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=60 "$@" >/dev/null; }
# The package lists may be old or absent: refresh them only when needed.
apt install -y --no-install-recommends "${missing[@]}" 2>/dev/null ||
    { apt update && apt install -y --no-install-recommends "${missing[@]}"; } ||
    give_up "apt-get failed"

# Neither shall they start with the system from now on.
for package in "${missing[@]}"; do
    case $package in
        knot) service=knot ;;
        openssh-server) service=ssh ;;
        openarena-server) service=openarena-server ;;
        *) continue ;;
    esac
    "${run[@]}" update-rc.d "$service" disable >/dev/null ||
        echo "deps.sh: could not keep $service from starting with the system" >&2
done
