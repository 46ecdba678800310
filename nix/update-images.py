"""Writes the lock of an OCI image: for each architecture its manifest, configuration and layers, by digest.

With the lock committed, evaluating the flake needs no registry. usage: update-images NAME DIGEST FILE [--registry URL]
"""

import argparse
import hashlib
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

MEDIA_TYPES = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
]
ARCHITECTURES = ["amd64", "arm64"]


class Registry:
    def __init__(self, url, name):
        self.url, self.name, self.token = url.rstrip("/"), name, None

    def manifest(self, digest):
        """The bytes of a manifest or an index, and what they say; only if they are what the digest promises."""
        url = f"{self.url}/v2/{self.name}/manifests/{digest}"
        try:
            text = self.get(url)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                sys.exit(f"{url} answered {error.code}: check the name and the digest")
            self.token = self.ask_for_token(error.headers.get("www-authenticate", ""))
            text = self.get(url)
        except urllib.error.URLError as error:
            sys.exit(f"{self.url} can't be reached ({error.reason}): run this where the registry can be")
        if "sha256:" + hashlib.sha256(text).hexdigest() != digest:
            sys.exit(f"{url} gave something else than {digest}")
        return text, json.loads(text)

    def get(self, url):
        headers = {"Accept": ", ".join(MEDIA_TYPES)}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
            return answer.read()

    def ask_for_token(self, challenge):
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if "realm" not in fields:
            sys.exit(f"{self.url} wants credentials that this program does not have: {challenge}")
        query = {"service": fields.get("service", ""), "scope": f"repository:{self.name}:pull"}
        with urllib.request.urlopen(f"{fields['realm']}?{urllib.parse.urlencode(query)}", timeout=60) as answer:
            token = json.load(answer)
        return token.get("token") or token["access_token"]


def described(registry, digest):
    text, manifest = registry.manifest(digest)
    return {
        "digest": digest,
        "size": len(text),
        "mediaType": manifest.get("mediaType", "application/vnd.oci.image.manifest.v1+json"),
        "config": manifest["config"]["digest"],
        "layers": [layer["digest"] for layer in manifest["layers"]],
    }


def main():
    parser = argparse.ArgumentParser(prog="update-images", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("digest")
    parser.add_argument("file")
    parser.add_argument("--registry", default="https://registry-1.docker.io")
    flags = parser.parse_args()
    registry = Registry(flags.registry, flags.name)
    _, top = registry.manifest(flags.digest)
    platforms = {
        entry["platform"]["architecture"]: entry["digest"]
        for entry in top.get("manifests", [])
        if entry["platform"]["os"] == "linux"
    }
    manifests = {
        architecture: described(registry, platforms[architecture])
        for architecture in ARCHITECTURES
        if architecture in platforms
    }
    if not manifests:
        sys.exit(f"{flags.name}@{flags.digest} has no image for linux and any of {', '.join(ARCHITECTURES)}")
    with open(flags.file, "w", encoding="utf-8") as file:
        json.dump({"digest": flags.digest, "manifests": manifests}, file, indent=2)
        file.write("\n")
    print(f"{flags.file}: {', '.join(manifests)}", file=sys.stderr)


main()
