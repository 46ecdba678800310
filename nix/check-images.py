"""Reads the images as docker load would and fails at the first thing that should not be so.

usage: check-images.py DIRECTORY SERVICE ...
"""

import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile

SHELLS = {"sh", "bash", "dash", "ash", "busybox", "zsh"}


def check(directory, entry):
    with tempfile.TemporaryFile() as stream:
        subprocess.run([directory / entry["file"]], stdout=stream, check=True)
        size = stream.tell()
        stream.seek(0)
        with tarfile.open(fileobj=stream) as archive:
            (manifest,) = json.load(archive.extractfile("manifest.json"))
            assert manifest["RepoTags"] == [f"{entry['image']}:{entry['tag']}"], manifest["RepoTags"]
            config = json.load(archive.extractfile(manifest["Config"]))["config"]
            files = set()
            for layer in manifest["Layers"]:
                with tarfile.open(fileobj=archive.extractfile(layer)) as layer_archive:
                    files.update("/" + name.strip("./") for name in layer_archive.getnames())

    uid = config["User"].split(":")[0]
    assert uid.isdigit() and uid != "0", f"it runs as {config['User']}"
    shells = sorted(name for name in files if pathlib.PurePath(name).parent.name == "bin" and pathlib.PurePath(name).name in SHELLS)
    assert not shells, f"it has a shell: {shells}"
    (program,) = config["Entrypoint"]
    assert program in files, f"{program} is not in it"
    environment = dict(variable.split("=", 1) for variable in config["Env"])
    assert environment["SSL_CERT_FILE"] in files, f"there are no CA certificates at {environment['SSL_CERT_FILE']}"
    assert environment["EVERHOOK_LISTEN"] == f"0.0.0.0:{entry['port']}", environment["EVERHOOK_LISTEN"]
    health = config["Healthcheck"]["Test"]
    assert health[:2] == ["CMD", program] and health[-1] == "--check-health", f"its health check is {health}"
    for label in ("title", "description", "version", "revision", "licenses"):
        assert config["Labels"][f"org.opencontainers.image.{label}"], f"its label {label} is empty"
    return f"{entry['service']}: {size / 1e6:.0f} MB, {len(manifest['Layers'])} layers, user {config['User']}"


def main():
    directory, services = pathlib.Path(sys.argv[1]), set(sys.argv[2:])
    manifest = json.loads((directory / "manifest.json").read_text())
    listed = {entry["service"] for entry in manifest}
    if listed != services:
        sys.exit(f"the images are of {sorted(listed)}, and the services are {sorted(services)}")
    for entry in manifest:
        try:
            print(check(directory, entry))
        except (AssertionError, KeyError) as error:
            sys.exit(f"the image of {entry['service']}: {error!r}")


main()
