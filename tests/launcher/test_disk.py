from __future__ import annotations

from pathlib import Path

from perfkit.launcher.disk import LogWatch, filesystem_of

FULL = b"1:M 24 Nov 2026 07:16:46.092 # Error writing to the AOF file: No space left on device\n"
FINE = b"1:M 24 Nov 2026 07:16:46.091 * Ready to accept connections tcp\n"


def test_a_log_without_trouble_has_none(tmp_path: Path) -> None:
    log = tmp_path / "redis.log"
    watch = LogWatch(log)
    assert watch.trouble() is None  # there is no log yet
    log.write_bytes(FINE)
    assert watch.trouble() is None


def test_trouble_is_told_in_the_systems_words_and_stays(tmp_path: Path) -> None:
    log = tmp_path / "redis.log"
    watch = LogWatch(log)
    log.write_bytes(FINE + FULL + FINE)
    assert watch.trouble() == "No space left on device"
    log.unlink()
    assert watch.trouble() == "No space left on device"


def test_a_line_that_is_written_in_pieces_is_read_whole(tmp_path: Path) -> None:
    log = tmp_path / "redis.log"
    watch = LogWatch(log)
    for end in range(1, len(FULL) - 1):
        log.write_bytes(FULL[:end])
        assert watch.trouble() is None
    log.write_bytes(FULL)
    assert watch.trouble() == "No space left on device"


def test_trouble_of_an_earlier_server_with_the_same_log_is_not_ours(tmp_path: Path) -> None:
    log = tmp_path / "redis.log"
    log.write_bytes(FULL)
    watch = LogWatch(log)
    with log.open("ab") as file:
        file.write(FINE)
    assert watch.trouble() is None
    with log.open("ab") as file:
        file.write(FULL)
    assert watch.trouble() == "No space left on device"


def test_a_folder_has_the_filesystem_of_its_mount() -> None:
    assert filesystem_of(Path("/proc/self")) == "proc"
    assert filesystem_of(Path("/sys/kernel")) == "sysfs"
    assert filesystem_of(Path(__file__)) not in ("", "proc")
