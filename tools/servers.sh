#!/usr/bin/env bash
# Install the real servers, viewers and validators that tests, `make pacs` and `make ohif` start: Orthanc,
# PostgreSQL, Chromium, dcmtk, dicom3tools; the OHIF viewer and its libraries. Needs Debian or Ubuntu, and root where
# a Debian package is missing. Where one is missing, the tests that need it skip and say so.
set -euo pipefail
cd "$(dirname "$0")"

install_packages() {
    local packages=(orthanc orthanc-dicomweb orthanc-gdcm dcmtk dicom3tools postgresql-15 chromium) missing=()
    command -v node >/dev/null || packages+=(nodejs) # a newer one from elsewhere does as well
    command -v npm >/dev/null || packages+=(npm)
    for package in "${packages[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
    done
    if [ "${#missing[@]}" -eq 0 ]; then
        echo "servers: all installed"
        return
    fi
    if [ "$(id -u)" -ne 0 ]; then
        echo "servers: missing ${missing[*]}; run this as root, or install them by hand" >&2
        return 1
    fi
    # Debian would start each server as a service on its usual port; ours are started by tests and tools, on free ones.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    echo "servers: installed ${missing[*]}"
}

install_node_parts() {
    local folder
    for folder in read_sr dcmjs; do
        if [ ! -d "$folder/node_modules" ] || [ "$folder/package-lock.json" -nt "$folder/node_modules" ]; then
            (cd "$folder" && npm ci --ignore-scripts --silent --no-audit --no-fund)
            touch "$folder/node_modules"
            echo "servers: installed the packages of tools/$folder"
        fi
    done
    bash ohif_app/install.sh
}

install_packages
install_node_parts
