"""Small file systems that fill up, or that cannot be written."""
import contextlib
import subprocess


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of `size` ("24m") at `folder`, in memory. Wants root, and fails without."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        # Lazy, so that a process that has not ended yet does not leave it behind.
        subprocess.run(["umount", "-l", str(folder)], check=True)


def make_read_only(folder):
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def fill(path):
    """Writes a file until there is no room for another byte."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
