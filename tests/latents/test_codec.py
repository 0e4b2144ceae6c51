import hashlib
import json
import math
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.errors import DataError, UsageError
from isthmus.evaluation.rate_distortion import BITS, QUALITIES, rate_distortion
from isthmus.latents.codec import HEADER, NUMBERS_PER_BYTE, compress, decompress
from isthmus.report import figures


def some_codes(*shape):
    """Codes as a rectifier leaves them, one number larger than the other."""
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.2, 5, (1, shape[1], *(1 for _ in shape[2:])))
    return np.maximum(rng.normal(0.5, 1, shape) * scale, 0).astype(np.float32)


def entropy_bits(codes, bits):
    """The fewest bits that levels take where each number's shares are known."""
    step = np.ptp(codes) / (2**bits - 1)
    total = 0.0
    for series in np.rint(codes / step).T:
        shares = np.unique(series, return_counts=True)[1] / len(series)
        total -= len(series) * float((shares * np.log2(shares)).sum())
    return total


@pytest.mark.parametrize("shape", [(200, 32), (1, 8), (2, 1), (50, 8, 4, 4), (3, 4, 9, 7), (1, 2, 12, 12)])
@pytest.mark.parametrize("bits", [1, 4, 8, 12])
def test_codes_come_back_within_half_a_step(shape, bits):
    codes = some_codes(*shape)
    restored = decompress(compress(codes, bits))
    assert (restored.shape, restored.dtype) == (shape, np.float32)
    assert np.abs(restored - codes).max() <= 0.5001 * np.ptp(codes) / (2**bits - 1)
    assert (restored[codes == 0] == 0).all()


@pytest.mark.parametrize("value", [0.0, -7.5])
def test_codes_that_are_all_alike_come_back_exactly(value):
    assert (decompress(compress(np.full((100_000, 3), value), 4)) == value).all()


@pytest.mark.parametrize(("bits", "above"), [(3, 1.02), (5, 1.03), (8, 1.08)])
def test_the_bytes_are_near_the_entropy(bits, above):
    codes = some_codes(2000, 24)
    ideal = entropy_bits(codes, bits)
    assert ideal < 0.8 * bits * codes.size
    assert 8 * len(compress(codes, bits)) < above * ideal


def test_numbers_that_hardly_vary_cost_hardly_anything():
    codes = some_codes(500, 16)
    quiet = np.concatenate([codes, 0.001 * codes], axis=1)
    assert len(compress(quiet, 6)) < 1.02 * len(compress(codes, 6))


def test_sorted_images_cost_no_more_than_mixed_ones():
    codes = some_codes(2000, 8)
    assert len(compress(np.sort(codes, axis=0), 6)) < 1.03 * len(compress(codes, 6))


def test_the_same_codes_give_the_same_bytes_in_another_process():
    program = (
        "import hashlib, numpy as np\n"
        "from isthmus.latents.codec import compress, decompress\n"
        "codes = (np.arange(6000).reshape(1000, 6) % 101 % 13).astype('float32')\n"
        "for content in (compress(codes, 6), decompress(compress(codes, 6)).tobytes()):\n"
        "    print(hashlib.sha256(content).hexdigest())"
    )
    codes = (np.arange(6000).reshape(1000, 6) % 101 % 13).astype("float32")
    stream = compress(codes, 6)
    here = [hashlib.sha256(content).hexdigest() for content in (stream, decompress(stream).tobytes())]
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert there == here


def test_bytes_of_the_first_version_are_read_for_ever():
    stream = bytes.fromhex(
        "01020800010000000000000000000000000000000000f03f1400000003000000b5cebcadda3a90e9750a5372e86c50acff3562aea8c9ac5cf6b76cd7"
    )
    assert (decompress(stream) == np.arange(60).reshape(20, 3) * 5 // 3 % 8).all()


def test_every_damaged_byte_and_every_cut_is_noticed():
    stream = compress(some_codes(20, 4), 4)
    for position in range(len(stream)):
        damaged = bytearray(stream)
        damaged[position] ^= 0x40
        with pytest.raises(DataError):
            decompress(bytes(damaged))
        with pytest.raises(DataError):
            decompress(stream[:position])


def test_hostile_bytes_are_refused_or_give_no_more_than_their_size_allows():
    rng = np.random.default_rng(1)
    streams = [compress(some_codes(*shape), 6)[:-4] for shape in ((30, 4), (5, 4, 3, 3))]
    refused = 0
    for _ in range(3000):
        body = bytearray(streams[rng.integers(2)])
        for _ in range(rng.integers(1, 5)):
            body[rng.integers(len(body))] = rng.integers(256)
        stream = bytes(body) + zlib.crc32(body).to_bytes(4, "little")
        try:
            codes = decompress(stream)
        except DataError:
            refused += 1
        else:
            assert np.isfinite(codes).all()
            assert codes.size <= NUMBERS_PER_BYTE * len(stream)
    assert 0 < refused < 3000


def test_a_small_file_cannot_claim_many_numbers():
    body = HEADER.pack(1, 2, 2, 1, 0, 1.0) + struct.pack("<2I", 1 << 20, 100) + bytes(64)
    with pytest.raises(DataError, match="their header is invalid"):
        decompress(body + zlib.crc32(body).to_bytes(4, "little"))


def test_a_newer_version_is_named():
    stream = compress(some_codes(5, 2), 4)
    with pytest.raises(DataError, match=r"have version 9, and this isthmus reads 1\. Update isthmus"):
        decompress(b"\x09" + stream[1:])


@pytest.mark.parametrize("bits", [0, -3, 13])
def test_too_few_and_too_many_bits_are_refused(bits):
    with pytest.raises(UsageError, match=f"`bits` must be between 1 and 12, not {bits}"):
        compress(some_codes(5, 2), bits)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.array([[1.0, np.nan]]), "NaN or infinite"),
        (np.array([[1.0, np.inf]]), "NaN or infinite"),
        (np.zeros((0, 4)), "Accepted are 1 to"),
        (np.zeros(4), "Accepted are 1 to"),
    ],
)
def test_what_are_no_codes_is_refused(codes, message):
    with pytest.raises(DataError, match=message):
        compress(codes, 4)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_encode_counts_the_bytes_on_disk_and_decode_reads_them(kind, run, tmp_path, model_files, digits, labelled_digits):
    np.savez(tmp_path / "in.npz", images=digits, labels=labelled_digits[1])
    sizes, errors = [], []
    run("encode", model_files[kind], tmp_path / "in.npz", "--out", tmp_path / "plain.npz")
    run("decode", model_files[kind], tmp_path / "plain.npz", "--out", tmp_path / "plain-images.npz")
    plain = np.load(tmp_path / "plain-images.npz")["images"].astype(float)
    for bits in (8, 5, 3):
        codes, out = tmp_path / f"{bits}.npz", tmp_path / f"{bits}-images.npz"
        status, printed, _ = run("encode", model_files[kind], tmp_path / "in.npz", "--bits", bits, "--out", codes, "--json")
        assert status == 0
        result = json.loads(printed)
        numbers = len(digits) * {"dense": 32, "conv": 128}[kind]
        assert result["bytes"] == codes.stat().st_size
        assert result["bits_per_pixel"] == pytest.approx(8 * (result["bytes"] - result["label_bytes"]) / digits.size, abs=1e-5)
        assert result["bits_per_number"] == pytest.approx(8 * (result["bytes"] - result["label_bytes"]) / numbers, abs=1e-5)
        assert run("decode", model_files[kind], codes, "--out", out)[0] == 0
        with np.load(out) as decoded:
            assert decoded["labels"].tolist() == labelled_digits[1].tolist()
            errors.append(np.square(decoded["images"] - plain).mean())
        sizes.append(result["bytes"])
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < 0.35 * (tmp_path / "plain.npz").stat().st_size
    assert errors == sorted(errors)
    assert errors[0] < 2


def test_encode_says_what_it_took(run, tmp_path, model_files, digits):
    np.save(tmp_path / "in.npy", digits)
    _, out, _ = run("encode", model_files["dense"], tmp_path / "in.npy", "--bits", 6, "--out", tmp_path / "codes.npz")
    size = (tmp_path / "codes.npz").stat().st_size
    assert f"\n{size:,} bytes: {8 * size / digits.size:.4f} bits per pixel, {8 * size / 313 / 32:.3f} bits per number" in out


def test_pictures_of_another_size_keep_it_and_their_names(run, tmp_path, model_files, digits):
    (tmp_path / "in").mkdir()
    wide = np.concatenate([digits[0], digits[1]], axis=1)
    Image.fromarray(wide).save(tmp_path / "in" / "wide.png")
    run("encode", model_files["conv"], tmp_path / "in", "--bits", 8, "--out", tmp_path / "codes.npz")
    assert run("decode", model_files["conv"], tmp_path / "codes.npz", "--out", tmp_path / "out")[0] == 0
    assert np.asarray(Image.open(tmp_path / "out" / "wide.png")).shape == wide.shape


def test_damaged_foreign_and_mismatched_files_exit_3(run, tmp_path, model_files, digits):
    np.save(tmp_path / "in.npy", digits[:50])
    codes = tmp_path / "codes.npz"
    run("encode", model_files["dense"], tmp_path / "in.npy", "--bits", 6, "--out", codes)
    content = codes.read_bytes()
    (tmp_path / "flipped.npz").write_bytes(content[:300] + bytes([content[300] ^ 1]) + content[301:])
    (tmp_path / "cut.npz").write_bytes(content[:-200])
    np.savez(tmp_path / "foreign.npz", compressed=np.arange(50))
    np.savez(tmp_path / "names.npz", compressed=np.frombuffer(compress(some_codes(3, 32), 4), np.uint8), names=np.array(["a"]))
    for file, message in {
        "flipped.npz": "is not a NumPy file, or is damaged",
        "cut.npz": "is not a NumPy file, or is damaged",
        "foreign.npz": "their checksum does not match",
        "names.npz": "has names of shape (1,) beside codes of shape (3, 32)",
    }.items():
        status, _, err = run("decode", model_files["dense"], tmp_path / file, "--out", tmp_path / "out.npz")
        assert (status, message in err) == (3, True), err
    status, _, err = run("decode", model_files["conv"], codes, "--out", tmp_path / "out.npz")
    assert status == 3
    assert "Codes of shape (50, 32) do not fit" in err


def test_too_many_bits_are_refused_before_any_work(run, tmp_path, model_files):
    status, _, err = run("encode", model_files["dense"], "no-such-data", "--bits", 40, "--out", tmp_path / "codes.npz")
    assert status != 0
    np.save(tmp_path / "in.npy", np.zeros((3, 28, 28), np.uint8))
    status, _, err = run("encode", model_files["dense"], tmp_path / "in.npy", "--bits", 40, "--out", tmp_path / "codes.npz")
    assert (status, (tmp_path / "codes.npz").exists()) == (2, False)
    assert err.startswith("isthmus: --bits must be between 1 and 12, not 40")


@pytest.fixture(scope="module")
def points(dense, digits):
    """The rates of a small dense model."""
    return rate_distortion(dense, digits[:250, None], digits[250:, None])


def test_every_method_has_its_points(points):
    assert [point.setting for point in points if point.method == "isthmus dense"] == list(BITS)
    assert [point.setting for point in points if point.method == "PCA 32"] == list(BITS)
    for method in ("JPEG", "WebP"):
        assert [point.setting for point in points if point.method == method] == list(QUALITIES)
    alone = [point.method for point in points if point.method.endswith("a file each")]
    assert alone == ["JPEG, a file each", "WebP, a file each"]


def test_a_models_bytes_are_those_of_the_file_that_encode_writes(points, run, tmp_path, model_files, digits):
    np.save(tmp_path / "in.npy", digits[250:])
    for point in points[: len(BITS)]:
        out = tmp_path / f"{point.setting}.npz"
        run("encode", model_files["dense"], tmp_path / "in.npy", "--bits", point.setting, "--out", out)
        assert point.bytes == out.stat().st_size
        assert point.bits_per_pixel == 8 * point.bytes / digits[250:].size


def test_a_models_loss_is_that_of_the_images_that_decode_gives(points, dense, digits):
    clean = digits[250:, None] / 255
    restored = np.rint(255 * dense.decode(decompress(compress(dense.encode(digits[250:]), 4)))) / 255
    point = next(point for point in points if (point.method, point.setting) == ("isthmus dense", 4))
    assert point.psnr_db == pytest.approx(-10 * math.log10(np.square(restored - clean).mean()), abs=1e-3)
    assert point.mean_psnr_db == pytest.approx(-10 * np.log10(np.square(restored - clean).mean((1, 2, 3))).mean(), abs=1e-3)


@pytest.mark.parametrize("method", ["JPEG", "WebP"])
def test_picture_formats_get_better_with_bytes_and_share_headers(method, points):
    curve = [point for point in points if point.method == method]
    assert [point.bytes for point in curve] == sorted(point.bytes for point in curve)
    assert curve[-1].psnr_db > 35
    alone = next(point for point in points if point.method == f"{method}, a file each")
    assert alone.setting == curve[0].setting
    assert alone.bytes > 1.5 * curve[0].bytes


def test_the_others_are_read_off_at_as_many_bytes(points):
    lines = {name: [point for point in points if point.method == name] for name in ("PCA 32", "JPEG", "WebP")}
    compared = 0
    for point in points[: len(BITS)]:
        assert set(point.beside_db) == set(lines)
        for name, line in lines.items():
            value = point.beside_db[name]
            below = [other.psnr_db for other in line if other.bytes <= point.bytes]
            above = [other.psnr_db for other in line if other.bytes >= point.bytes]
            assert (value is None) == (not below)
            if value is not None:
                compared += 1
                assert max(below) - 1e-9 <= value <= min(above, default=max(below)) + 1e-9
    assert compared >= len(BITS)


def test_color_pictures_are_compressed_too(color):
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 2, 2)).astype(np.uint8).repeat(8, axis=2).repeat(8, axis=3)
    points = rate_distortion(color, images, images, bits=(4,), qualities=(5, 95))
    best = {point.method: point.psnr_db for point in points if point.setting == 95}
    assert min(best["JPEG"], best["WebP"]) > 20


def test_pictures_that_are_all_alike_are_compressed_too(dense, digits):
    alike = np.repeat(digits[:1, None], 12, axis=0)
    points = rate_distortion(dense, alike, alike, bits=(4,), qualities=(90,))
    assert next(point for point in points if point.method.startswith("PCA")).psnr_db > 60


def test_evaluate_adds_the_rates_and_draws_them(run, tmp_path, model_files, digits_npz, digits):
    np.save(tmp_path / "in.npy", digits[:60])
    plot = tmp_path / "rates.png"
    status, out, _ = run("evaluate", model_files["dense"], tmp_path / "in.npy", "--plot", plot, "--json")
    assert status == 0
    card = json.loads(out)
    assert plot.read_bytes() == figures.rate_distortion(card["rates"])
    assert {point["method"] for point in card["rates"]} >= {"isthmus dense", "PCA 32", "JPEG", "WebP"}
    assert any("lossy" in note and "not counted" in note for note in card["notes"])
    status, _, err = run("evaluate", model_files["dense"], tmp_path / "in.npy", "--plot", plot)
    assert (status, "exists already" in err) == (2, True)
    assert json.loads(run("evaluate", model_files["dense"], tmp_path / "in.npy", "--json")[1])["rates"] == []


def test_the_text_has_a_row_for_each_setting(run, tmp_path, model_files, digits):
    np.save(tmp_path / "in.npy", digits[:60])
    _, out, _ = run("evaluate", model_files["dense"], tmp_path / "in.npy", "--rates")
    table = out[out.index("isthmus dense, bits") :].splitlines()
    assert re.split("  +", table[0]) == ["isthmus dense, bits", "bytes", "bits per pixel", "PSNR dB", "PCA 32", "JPEG", "WebP"]
    assert [row.split()[0] for row in table[1:7]] == [str(bits) for bits in BITS]
    assert "JPEG, a file each" in out


def test_the_figure_is_a_picture_with_a_line_for_each_method(points, tmp_path):
    rows = [vars(point) for point in points]
    (tmp_path / "all.png").write_bytes(figures.rate_distortion(rows))
    without = [row for row in rows if row["method"] != "WebP"]
    (tmp_path / "without.png").write_bytes(figures.rate_distortion(without))
    pixels = [np.asarray(Image.open(Path(tmp_path / name)).convert("RGB")) for name in ("all.png", "without.png")]
    assert pixels[0].shape != pixels[1].shape or (pixels[0] != pixels[1]).any()
