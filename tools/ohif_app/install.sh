#!/usr/bin/env bash
# Put the built OHIF viewer into node_modules/@ohif/app beside this script, from its npm package (MIT).
# `npm install` would bring all that OHIF is built from, several hundred megabytes; the package alone is the viewer.
set -euo pipefail
cd "$(dirname "$0")"
version=3.13.2
sha512=WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==
target=node_modules/@ohif/app
if grep -qs "\"version\": \"$version\"" "$target/package.json"; then
    echo "ohif: $version installed"
    exit 0
fi
mkdir -p "$(dirname "$target")"
part=$(mktemp -d "$(dirname "$target")/part-XXXXXX")
trap 'rm -rf "$part"' EXIT
npm pack --silent --pack-destination "$part" "@ohif/app@$version" >/dev/null
found=$(openssl dgst -sha512 -binary "$part"/*.tgz | base64 -w 0)
if [ "$found" != "$sha512" ]; then
    echo "ohif: the package of $version is not the one that was tested (sha512 $found)" >&2
    exit 1
fi
# ort: segmentation models, 140 MB that no measurement needs
tar -xzf "$part"/*.tgz -C "$part" --exclude=package/dist/ort
rm -rf "$target"
mv "$part/package" "$target"
echo "ohif: installed $version"
