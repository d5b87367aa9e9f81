#!/usr/bin/env bash
# Install the real servers and validators that tests and `make pacs` start: Orthanc, PostgreSQL, dcmtk, dicom3tools.
# Needs Debian or Ubuntu and root. Where one is missing, the tests that need it skip and say so.
set -euo pipefail
packages=(orthanc orthanc-dicomweb orthanc-gdcm dcmtk dicom3tools postgresql-15)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
if [ "${#missing[@]}" -eq 0 ]; then
    echo "servers: all installed"
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "servers: missing ${missing[*]}; run this as root, or install them by hand" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# Debian would start each server as a service on its usual port; ours are started by tests and tools, on free ones.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
echo "servers: installed ${missing[*]}"
