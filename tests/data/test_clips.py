"""Admission: the original stays, its hash names it, and its copy shows the same frames."""

import hashlib
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from data import clips, containers, video
from data.errors import UserError
from data.records import Prompt

PROMPT = Prompt(text="a cat")


def frames(count=6, height=48, width=64, level=60):
    clip = np.full((count, height, width, 3), level, np.uint8)
    for index in range(count):
        clip[index, :, 4 * index : 4 * index + 8] = (250, 30, 30)
    return clip


@pytest.fixture
def db(tmp_path):
    return tmp_path / "prefs.duckdb"


@pytest.fixture
def original(tmp_path):
    path = tmp_path / "cat.mkv"
    video.write(path, frames(), 12, lossless=True)
    return path


def test_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert clips.clip_folder("prefs.duckdb") == tmp_path / "prefs.clips"
    assert clips.playable("prefs.duckdb", "ab") == tmp_path / "prefs.clips" / "ab.mp4"
    assert clips.originals("prefs.duckdb") == tmp_path / "prefs.clips" / "originals"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.duckdb").symlink_to(tmp_path / "elsewhere" / "real.duckdb")
    # The store follows links to the database; the clips lie beside the same file.
    assert clips.clip_folder("link.duckdb") == tmp_path / "elsewhere" / "real.clips"


def test_a_clip_is_described_and_left_alone(db, original):
    before = original.read_bytes()
    candidate = clips.admit(
        db, original, prompt=PROMPT, model="shapes", seed=7, adapter="run", settings={"steps": 4}
    )
    assert original.read_bytes() == before
    assert candidate.sha256 == hashlib.sha256(before).hexdigest()
    assert (candidate.prompt, candidate.path) == (PROMPT.id, str(original))
    assert (candidate.model, candidate.adapter, candidate.seed) == ("shapes", "run", 7)
    assert candidate.settings == {"steps": 4}
    assert (candidate.frames, candidate.width, candidate.height) == (6, 64, 48)
    assert candidate.fps == 12.0


def test_the_copy_shows_the_same_frames_at_the_same_rate(db, original):
    candidate = clips.admit(db, original, prompt=PROMPT, model="")
    copy = clips.playable(db, candidate.sha256)
    shown, fps = video.read(copy)
    # Shorter side 48 < 256: 384 / 48 = 8 times, nearest neighbour.
    assert shown.shape == (6, 8 * 48, 8 * 64, 3)
    assert fps == 12.0
    for index, frame in enumerate(frames()):
        small = shown[index, 4::8, 4::8].astype(int)
        assert np.abs(small - frame).mean() < 3, index
    names = [name for name, _, _ in containers.boxes(copy)]
    assert names.index("moov") < names.index("mdat")
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]  # no temporary file stays


@pytest.mark.parametrize(
    ("size", "factor"),
    [
        ((48, 48), 8),  # 384 / 48
        ((512, 320), 1),  # not small
        ((256, 400), 1),
        ((255, 400), 2),  # 384 / 255 = 1.5, rounded up
        ((100, 300), 4),  # 384 / 100 = 3.84
        ((20, 1000), 4),  # 20 would need 20 times, but 4096 / 1000 allows 4
        ((8, 5000), 1),
    ],
)
def test_enlargement(size, factor):
    assert clips.enlargement(*size) == clips.enlargement(*size[::-1]) == factor


def test_again_gives_the_same_record_and_keeps_the_copy(db, original):
    first = clips.admit(db, original, prompt=PROMPT, model="m")
    copy = clips.playable(db, first.sha256)
    stamp, content = copy.stat().st_mtime_ns, copy.read_bytes()
    assert clips.admit(db, original, prompt=PROMPT, model="m") == first
    assert copy.stat().st_mtime_ns == stamp
    copy.unlink()
    clips.admit(db, original, prompt=PROMPT, model="m")
    assert copy.read_bytes() == content  # the same bytes again


def test_the_rate_of_the_person_wins(db, original):
    candidate = clips.admit(db, original, prompt=PROMPT, model="", fps=24)
    assert candidate.fps == 24
    assert video.probe(clips.playable(db, candidate.sha256)).fps == 24


def test_uneven_times_are_stated_and_played_evenly(db, tmp_path):
    images = [Image.fromarray(frame) for frame in frames(4)]
    path = tmp_path / "a.gif"
    images[0].save(path, save_all=True, append_images=images[1:], duration=[50, 100, 200, 50])
    candidate = clips.admit(db, path, prompt=PROMPT, model="")
    assert candidate.settings == {"variable_frame_rate": True}
    assert candidate.fps == pytest.approx(10)  # 4 frames in 0.4 s
    copy = video.probe(clips.playable(db, candidate.sha256))
    assert (copy.frames, copy.constant) == (4, True)
    assert copy.fps == pytest.approx(10)


def test_odd_and_rotated_clips_get_an_even_upright_copy(db, tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(8))
        stream.width, stream.height, stream.pix_fmt = 301, 259, "yuv444p"
        stream.set_display_rotation(-90)
        for frame in frames(3, 259, 301):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        file.mux(stream.encode())
    candidate = clips.admit(db, path, prompt=PROMPT, model="")
    assert (candidate.width, candidate.height) == (259, 301)
    copy = video.probe(clips.playable(db, candidate.sha256))
    assert (copy.width, copy.height, copy.frames) == (260, 302, 3)


def frame_folder(folder, count=3, level=60):
    folder.mkdir()
    for index, frame in enumerate(frames(count, level=level)):
        Image.fromarray(frame).save(folder / f"{index}.png")
    return folder


def test_a_folder_of_frames_is_one_clip_known_by_its_frames(db, tmp_path):
    folder = frame_folder(tmp_path / "one")
    candidate = clips.admit(db, folder, prompt=PROMPT, model="", fps=4)
    assert (candidate.frames, candidate.fps) == (3, 4)
    assert candidate.path == str(folder)
    (folder / "notes.txt").write_text("does not count")
    assert clips.fingerprint(folder) == candidate.sha256
    assert clips.fingerprint(frame_folder(tmp_path / "same")) == candidate.sha256
    (folder / "2.png").rename(folder / "3.png")
    assert clips.fingerprint(folder) != candidate.sha256


def test_the_hash_of_a_folder_by_hand(tmp_path):
    (tmp_path / "f").mkdir()
    for name, content in (("10.png", b"xyz"), ("9.png", b"ab")):
        (tmp_path / "f" / name).write_bytes(content)
    parts = (b"9.png", b"ab", b"10.png", b"xyz")  # natural order; lengths keep them apart
    expected = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts))
    assert clips.fingerprint(tmp_path / "f") == expected.hexdigest()


def test_a_broken_clip_leaves_nothing_behind(db, original):
    original.write_bytes(original.read_bytes()[:-200])
    with pytest.raises(video.ClipError, match=r"cat\.mkv: truncated: decoded \d (of 6 )?frames"):
        clips.admit(db, original, prompt=PROMPT, model="")
    assert not clips.clip_folder(db).exists()


def test_an_unwritable_clip_folder_is_named(db, original):
    clips.clip_folder(db).write_text("a file stands where the folder should be")
    with pytest.raises(UserError, match=r"cannot make the clip folder .*prefs\.clips: File exists"):
        clips.admit(db, original, prompt=PROMPT, model="")


def test_reading_a_candidate_checks_that_it_is_still_the_same_file(db, original):
    candidate = clips.admit(db, original, prompt=PROMPT, model="", fps=24)
    back, fps = clips.read(candidate)
    assert np.array_equal(back, frames())
    assert fps == 24
    video.write(original, frames(level=61), 12, lossless=True)  # another clip under the same name
    with pytest.raises(video.ClipError, match="changed since it was admitted"):
        clips.read(candidate)
    original.unlink()
    with pytest.raises(video.ClipError, match=r"cat\.mkv: no such file"):
        clips.read(candidate)


SEEK = """async ([order, fps]) => {
    const player = document.querySelector("video"), canvas = document.createElement("canvas");
    if (player.readyState < 1) await new Promise(done => player.onloadedmetadata = done);
    const pen = canvas.getContext("2d"), seen = [];
    for (const index of order) {
        const sought = new Promise(done => player.onseeked = done);
        // "seeked" may come before the frame is on the screen; a frame that was there already
        // is not presented again, so that waiting for it must end.
        const presented = new Promise(done => {
            player.requestVideoFrameCallback(done);
            setTimeout(done, 1000);
        });
        player.currentTime = (index + 0.5) / fps;
        await Promise.all([sought, presented]);
        pen.drawImage(player, 0, 0);
        seen.push(Array.from(pen.getImageData(20, 20, 1, 1).data.slice(0, 3)));
    }
    return [player.videoWidth, player.videoHeight, player.duration, seen];
}"""


@pytest.mark.browser
def test_chromium_reaches_every_frame_of_the_copy(db, tmp_path, browser):
    colours = np.array([(10 * k, 255 - 10 * k, 37 * k % 256) for k in range(20)], np.uint8)
    video.write(
        tmp_path / "o.mkv",
        np.broadcast_to(colours[:, None, None], (20, 47, 49, 3)),
        24000 / 1001,
        lossless=True,
    )
    candidate = clips.admit(db, tmp_path / "o.mkv", prompt=PROMPT, model="")
    page_file = tmp_path / "page.html"
    page_file.write_text(f'<video src="{clips.playable(db, candidate.sha256).as_uri()}"></video>')
    order = [*range(20), 5, 17, 0, 19, 9]
    page = browser.new_page()
    page.goto(page_file.as_uri())
    width, height, seconds, seen = page.evaluate(SEEK, [order, candidate.fps])
    page.close()
    # 384 / 47 = 8.2 -> 9 times: 441 x 423, padded to even sides.
    assert (width, height) == (442, 424)
    assert seconds == pytest.approx(20 / candidate.fps, abs=0.002)
    # Neighbouring frames differ by 37 levels of blue: the right one is unmistakable.
    assert np.abs(np.array(seen) - colours[order].astype(int)).max() < 18
