"""Frames in, frames out: exact counts, exact pixels, and no broken file taken in part."""

import os
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from PIL import Image, ImageSequence

from data import containers, video
from data.decoding import rate
from data.errors import UserError


def moving(frames=8, height=48, width=64, seed=0):
    """A bright block that moves over a dark gradient: something that codecs can code."""
    clip = np.zeros((frames, height, width, 3), np.uint8)
    clip[..., 0] = np.linspace(0, 120, width)
    clip[..., 2] = np.linspace(0, 120, height)[:, None]
    for index in range(frames):
        left = (3 * index + seed) % (width - 16)
        clip[index, 8:24, left : left + 16] = (250, 200, 40)
    return clip


def encode(path, frames, *, codec, pixels, rate=8, rotate=0, times=None, **options):
    """A file as some other program writes it."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=Fraction(rate), options=options)
        stream.width, stream.height = frames.shape[2], frames.shape[1]
        stream.pix_fmt = pixels
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotate:
            stream.set_display_rotation(rotate)
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            if times is not None:
                picture.pts, picture.time_base = times[index], Fraction(1, 1000)
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
    return path


def h264(path, frames, **more):
    return encode(path, frames, codec="libx264", pixels="yuv420p", **more)


def near(ours, theirs):
    """Mean difference in levels: small for a lossy copy, large for a shifted frame."""
    return np.abs(ours.astype(int) - theirs.astype(int)).mean()


@pytest.mark.parametrize("size", [(1, 1), (47, 49), (48, 64), (64, 16)])
@pytest.mark.parametrize("fps", [8.0, 24000 / 1001, 13.2075])
def test_lossless_is_bit_exact(tmp_path, size, fps):
    frames = np.random.default_rng(0).integers(0, 256, (9, *size, 3), dtype=np.uint8)
    video.write(tmp_path / "a.mkv", frames, fps, lossless=True)
    back, rate = video.read(tmp_path / "a.mkv")
    assert back.dtype == np.uint8
    assert np.array_equal(back, frames)
    assert rate == pytest.approx(fps, rel=1e-5)


@pytest.mark.parametrize("lossless", [True, False])
def test_the_same_frames_give_the_same_bytes(tmp_path, lossless):
    suffix = ".mkv" if lossless else ".mp4"
    for name in "ab":
        video.write(tmp_path / (name + suffix), moving(), 8, lossless=lossless)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_playable_copy_is_what_browsers_want(tmp_path):
    frames = moving(17)
    video.write(tmp_path / "a.mp4", frames, 24000 / 1001, lossless=False)
    names = [name for name, _, _ in containers.boxes(tmp_path / "a.mp4")]
    assert names.index("moov") < names.index("mdat")  # faststart
    with av.open(str(tmp_path / "a.mp4")) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == Fraction(24000, 1001)
        pictures = list(file.decode(stream))
    assert all(picture.pict_type != PictureType.B for picture in pictures)
    keys = [index for index, picture in enumerate(pictures) if picture.key_frame]
    assert keys[0] == 0
    assert max(np.diff([*keys, 17])) <= 8
    assert {(p.colorspace, p.color_primaries, p.color_trc, p.color_range) for p in pictures} == {
        (1, 1, 1, 1)
    }
    assert near(video.read(tmp_path / "a.mp4")[0], frames) < 3


def test_colours_survive_the_playable_copy(tmp_path):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 120, 40)]
    frames = (
        np.zeros((len(colours), 32, 32, 3), np.uint8) + np.array(colours, np.uint8)[:, None, None]
    )
    video.write(tmp_path / "a.mp4", frames, 8, lossless=False)
    back = video.read(tmp_path / "a.mp4")[0].astype(int)
    assert np.abs(back - frames).max() <= 3  # the wrong colour matrix moves (0, 255, 0) by 20


def test_odd_sides_are_padded_by_their_last_row_and_column(tmp_path):
    frames = np.full((2, 33, 31, 3), 128, np.uint8)
    frames[:, -1], frames[:, :, -1] = (250, 250, 250), (250, 250, 250)
    video.write(tmp_path / "a.mp4", frames, 8, lossless=False)
    back, _ = video.read(tmp_path / "a.mp4")
    assert back.shape == (2, 34, 32, 3)
    assert back[:, -1].min() > 200
    assert back[:, :, -1].min() > 200


@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_gif_frames_are_those_of_pillow(tmp_path, disposal):
    images = []
    for index in range(4):
        image = Image.new("RGBA", (20, 14), (0, 0, 0, 0))
        image.paste((255, 40 * index, 0, 255), (3 * index, 2, 3 * index + 6, 9))
        images.append(image)
    images[0].save(
        tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=80, disposal=disposal
    )
    frames, fps = video.read(tmp_path / "a.gif")
    white = Image.new("RGBA", (20, 14), "white")
    with Image.open(tmp_path / "a.gif") as file:
        theirs = np.stack(
            [
                np.asarray(Image.alpha_composite(white, frame.convert("RGBA")).convert("RGB"))
                for frame in ImageSequence.Iterator(file)
            ]
        )
    assert np.array_equal(frames, theirs)
    assert fps == 12.5  # 8 hundredths of a second each


def test_uneven_gif_delays_give_the_mean_rate_and_every_frame(tmp_path):
    images = [Image.fromarray(frame) for frame in moving(4)]
    images[0].save(
        tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[50, 100, 200, 30]
    )
    clip = video.probe(tmp_path / "a.gif")
    assert clip.frames == 4
    assert not clip.constant
    assert clip.fps == pytest.approx(4 / 0.38)  # 50 + 100 + 200 + 30 = 380 ms


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "fps"),
    [
        ("a.webm", "libvpx-vp9", "yuv420p", 30),
        ("a.mov", "libx264", "yuv420p", 24),
        ("ten-bit.mp4", "libx265", "yuv420p10le", 25),
        ("a.mkv", "libx264", "yuv444p", Fraction(30000, 1001)),
        ("a.avi", "mpeg4", "yuv420p", 12),
    ],
)
def test_other_peoples_formats(tmp_path, name, codec, pixels, fps):
    frames = moving(12, 64, 96)
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = encode(tmp_path / name, frames, codec=codec, pixels=pixels, rate=fps, **options)
    back, measured = video.read(path)
    assert back.shape == frames.shape
    assert measured == pytest.approx(float(fps))
    assert near(back, frames) < 6
    assert near(back[1:], frames[:-1]) > near(back, frames) + 1  # not shifted by a frame


def test_variable_frame_rate_keeps_the_frames(tmp_path):
    times = [0, 40, 80, 200, 240, 300]
    path = h264(tmp_path / "a.mp4", moving(6), times=times, bf="0")
    clip = video.probe(path)
    assert (clip.frames, clip.constant) == (6, False)
    assert 6 / 0.5 < clip.fps < 6 / 0.3  # 300 ms, and the last frame's own time


def test_phone_clips_stand_upright(tmp_path):
    frames = np.zeros((3, 32, 48, 3), np.uint8)
    frames[:, :16, :24] = (250, 0, 0)  # top left
    path = h264(tmp_path / "a.mp4", frames, rotate=90)  # counter-clockwise: to the bottom left
    clip, (back, _) = video.probe(path), video.read(path)
    assert (clip.width, clip.height) == (32, 48)
    assert back.shape == (3, 48, 32, 3)
    assert back[0, 40, 4, 0] > 200
    assert back[0, 4, 4, 0] < 50


def test_one_frame_and_portrait(tmp_path):
    path = h264(tmp_path / "a.mp4", moving(1, 96, 54))
    assert video.probe(path) == video.Clip(frames=1, width=54, height=96, fps=8.0)
    Image.fromarray(moving(1)[0]).save(tmp_path / "b.gif")
    assert video.probe(tmp_path / "b.gif").frames == 1


def test_too_long_is_refused_with_the_limit(tmp_path):
    path = h264(tmp_path / "a.mp4", moving(9))
    assert video.probe(path, max_frames=9).frames == 9
    with pytest.raises(video.ClipError, match=r"a\.mp4: more than 8 frames"):
        video.read(path, max_frames=8)


def test_a_folder_of_frames_in_natural_order(tmp_path):
    frames = moving(11)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"frame{index}.png")  # frame10 after frame9
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / ".hidden.png").write_bytes(b"not a frame")
    back, fps = video.read(tmp_path)
    assert np.array_equal(back, frames)
    assert fps == 8.0
    assert video.read(tmp_path, fps=24)[1] == 24


def test_frames_of_unequal_size_are_refused(tmp_path):
    Image.fromarray(moving(1, 32, 32)[0]).save(tmp_path / "1.png")
    Image.fromarray(moving(1, 32, 40)[0]).save(tmp_path / "2.png")
    with pytest.raises(video.ClipError, match="frame 2 is 40x32, the ones before it 32x32"):
        video.probe(tmp_path)


def test_transparent_frames_lie_on_white(tmp_path):
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[..., 0], rgba[:2, :, 3], rgba[2, :, 3] = 200, 255, 51
    Image.fromarray(rgba).save(tmp_path / "1.png")
    frames, _ = video.read(tmp_path)
    # alpha 51/255 = 0.2: 0.2 * (200, 0, 0) + 0.8 * 255 = (244, 204, 204)
    assert frames[0, :, 0].tolist() == [[200, 0, 0], [200, 0, 0], [244, 204, 204], [255] * 3]


def test_jpeg_frames(tmp_path):
    frames = moving(3)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{index}.jpg", quality=95)
    assert near(video.read(tmp_path)[0], frames) < 4


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm", ".mkv", ".avi", ".gif"])
def test_truncated_files_are_refused(tmp_path, suffix, share):
    frames = np.random.default_rng(0).integers(0, 256, (16, 48, 48, 3), dtype=np.uint8)
    path = tmp_path / f"a{suffix}"
    if suffix == ".gif":
        first, *rest = [Image.fromarray(frame) for frame in frames]
        first.save(path, save_all=True, append_images=rest, duration=100)
    else:
        codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(suffix, "libx264")
        encode(path, frames, codec=codec, pixels="yuv420p", movflags="")
    assert video.probe(path).frames == 16
    with pytest.raises(video.ClipError, match=rf"a\{suffix}: truncated"):
        video.probe(cut(path, share))


def test_a_truncated_file_says_how_far_it_goes(tmp_path):
    video.write(tmp_path / "a.mp4", moving(16), 8, lossless=False)
    with pytest.raises(video.ClipError, match=r"truncated: decoded \d+ of 16 frames"):
        video.probe(cut(tmp_path / "a.mp4", 0.8))


@pytest.mark.parametrize("junk", [b"\x00", b"\xa5"])
def test_damage_in_the_middle_is_refused(tmp_path, junk):
    noise = np.random.default_rng(0).integers(0, 256, (16, 48, 48, 3), dtype=np.uint8)
    path = tmp_path / "a.mp4"
    video.write(path, noise, 8, lossless=False)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 300] = junk * 300
    path.write_bytes(data)
    with pytest.raises(video.ClipError, match=r"damaged: decoded \d+ of 16 frames"):
        video.read(path)


def sound_only(path):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        file.mux(stream.encode(frame))
        file.mux(stream.encode())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"empty file \(0 bytes\)"),
        (b"hello\n" * 40, "a text file, not a video"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "a text file, not a video"),
        (b"ffconcat version 1.0\nfile other.mp4\n", "a text file, not a video"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "an image, not a video"),
        (b"RIFF\x00\x00\x00\x00WEBP" + bytes(50), "an image, not a video"),
        (bytes(5000), "begins with zeros only"),
        (bytes(range(1, 256)) * 3, "not a video: no known container"),
        (b"GIF89a", "truncated"),
        (b"\x00\x00\x00\x18ftypmp42", "truncated"),
    ],
)
def test_what_is_no_video_is_refused_by_name_and_reason(tmp_path, content, reason):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(video.ClipError, match=rf"a\.mp4: .*{reason}"):
        video.read(tmp_path / "a.mp4")


def test_missing_sound_only_and_empty_folder(tmp_path):
    with pytest.raises(video.ClipError, match="no such file"):
        video.probe(tmp_path / "none.mp4")
    sound_only(tmp_path / "sound.mp4")
    with pytest.raises(video.ClipError, match="sound only"):
        video.probe(tmp_path / "sound.mp4")
    (tmp_path / "frames").mkdir()
    with pytest.raises(video.ClipError, match="without PNG or JPEG"):
        video.probe(tmp_path / "frames")


def test_names_that_ffmpeg_would_take_for_an_address_or_a_pattern(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a:b %03d 100%.mp4", "猫 ü.mp4"):
        video.write(name, moving(2), 8, lossless=False)
        assert video.probe(name).frames == 2


def test_write_refuses_what_it_cannot_write(tmp_path):
    with pytest.raises(ValueError, match="must end in"):
        video.write(tmp_path / "a.mp4", moving(), 8, lossless=True)
    with pytest.raises(ValueError, match="no frames"):
        video.write(tmp_path / "a.mp4", moving()[:0], 8, lossless=False)
    with pytest.raises(
        (ValueError, TypeError), match=r"uint8|UInt8"
    ):  # TypeError: type-checked run
        video.write(tmp_path / "a.mp4", [np.zeros((8, 8, 3), np.int16)], 8, lossless=False)
    with pytest.raises(ValueError, match="one size"):
        video.write(tmp_path / "a.mkv", [moving(1)[0], moving(1, 8, 8)[0]], 8, lossless=True)
    with pytest.raises(UserError, match=r"cannot write .*a\.mp4: No such file or directory"):
        video.write(tmp_path / "none" / "a.mp4", moving(), 8, lossless=False)
    assert list(tmp_path.iterdir()) == []  # nothing half-written stays


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path):
    """The process may write 20 kB to a file: what a full disk does, at the same call."""
    code = f"""
import resource, signal, numpy as np
from data import video
from data.errors import UserError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
noise = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)
for name, lossless in (("a.mkv", True), ("a.mp4", False)):
    try:
        video.write({str(tmp_path)!r} + "/" + name, noise, 8, lossless=lossless)
    except UserError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},  # noqa: PTH109
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert all("cannot write" in line and "File too large" in line for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_rate_by_hand():
    # Milliseconds of 30 frames per second, rounded by the container: still 30.
    assert rate([0.0, 0.033, 0.067, 0.1], 0.033, [Fraction(30)], 0.001) == (30.0, True)
    # Nothing declared: three gaps in 0.75 s are 4 per second.
    assert rate([0.0, 0.25, 0.5, 0.75], 0.25, [], 0.01) == (4.0, True)
    # Uneven: 3 frames in 0.1 + 0.4 + 0.5 = 1 s.
    assert rate([0.0, 0.1, 0.5], 0.5, [Fraction(30)], 0.01) == (3.0, False)
    # The last one's time is not known: as long as the mean of the others, 0.25: 3 in 0.75 s.
    assert rate([0.0, 0.1, 0.5], 0.0, [], 0.01) == (4.0, False)
    # A wrong declaration does not count.
    assert rate([0.0, 0.1, 0.2], 0.1, [Fraction(25)], 0.01)[0] == pytest.approx(10)
    assert rate([0.0], 0.5, [], 0.01) == (2.0, True)
    assert rate([0.0], 0.0, [], 0.01) == (8.0, True)
