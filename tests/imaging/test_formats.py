"""Each cell of the table in docs/files.md: files that other programs wrote come back as other programs read them."""

import io
import re
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageSequence

from isthmus.imaging.picture import FORMATS, decode_picture, encode_picture, lost_in

pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra [camera]")

Y, X = np.mgrid[0:16, 0:24]
RGB = np.stack([X * 10, Y * 15, 255 - X - Y], -1).astype(np.uint8)
ALPHA = (X * 11).astype(np.uint8)
EXIF = Image.Exif()
EXIF[0x010F] = "a maker"
EXIF.get_ifd(0x8769)[0x829A] = 0.5
PROFILE, XMP = b"a profile of colors " * 8, b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


def again(content, end):
    """Return what isthmus reads of a file, and the file that it writes."""
    picture = decode_picture(content, f"a.{end}")
    return picture, encode_picture(picture, f"b.{end}")


def pillow(image, end, **options):
    out = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(out, {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000", "pgm": "PPM"}.get(end, end.upper()), **options)
    return out.getvalue()


def in_tiff(array, **options):
    out = io.BytesIO()
    tifffile.imwrite(out, array, **{"photometric": "rgb" if array.ndim == 3 else "minisblack", **options})
    return out.getvalue()


def in_heic(array, mode, bits=8, **options):
    out = io.BytesIO()
    pillow_heif.from_bytes(mode, (array.shape[1], array.shape[0]), array.tobytes()).save(out, quality=-1, bit_depth=bits, **options)
    return out.getvalue()


def opened(content):
    pillow_heif.register_heif_opener()
    return Image.open(io.BytesIO(content))


def seen(content):
    return np.asarray(opened(content))


def bits_of_heic(content):
    return pillow_heif.open_heif(io.BytesIO(content), convert_hdr_to_8bit=False).info["bit_depth"]


def deep(bits):
    """Return a picture of so many bits, in uint16."""
    return (RGB.astype(np.uint32) * ((1 << bits) - 1) // 255).astype(np.uint16)


DEPTHS = {
    **{("tif", kind): (lambda kind=kind: in_tiff(RGB.astype(kind)), tifffile.imread) for kind in ("uint8", "uint16", "int16")},
    **{("tif", kind): (lambda kind=kind: in_tiff((RGB / 255).astype("float16").astype(kind)), tifffile.imread)
       for kind in ("float16", "float32", "float64")},
    ("tif", "12 bits"): (lambda: in_tiff(deep(12), bitspersample=12), tifffile.imread),
    ("png", "8 bits"): (lambda: pillow(RGB, "png"), seen),
    ("png", "16 bits"): (lambda: imagecodecs.png_encode(deep(16)), imagecodecs.png_decode),
    ("ppm", "8 bits"): (lambda: pillow(RGB, "ppm"), seen),
    ("ppm", "16 bits"): (lambda: b"P6 24 16 65535\n" + deep(16).astype(">u2").tobytes(), None),
    ("ppm", "10 bits"): (lambda: b"P6 24 16 1023\n" + deep(10).astype(">u2").tobytes(), None),
    ("bmp", "8 bits"): (lambda: pillow(RGB, "bmp"), seen),
    ("tga", "8 bits"): (lambda: pillow(RGB, "tga"), seen),
    ("webp", "8 bits"): (lambda: pillow(RGB, "webp", lossless=True), seen),
    ("jp2", "8 bits"): (lambda: pillow(RGB, "jp2"), seen),
    ("jp2", "12 bits"): (lambda: imagecodecs.jpeg2k_encode(deep(12), level=0, bitspersample=12, codecformat="jp2"),
                         imagecodecs.jpeg2k_decode),
    ("jp2", "16 bits"): (lambda: imagecodecs.jpeg2k_encode(deep(16), level=0, codecformat="jp2"), imagecodecs.jpeg2k_decode),
    ("jxl", "8 bits"): (lambda: imagecodecs.jpegxl_encode(RGB, lossless=True), imagecodecs.jpegxl_decode),
    ("jxl", "16 bits"): (lambda: imagecodecs.jpegxl_encode(deep(16), lossless=True), imagecodecs.jpegxl_decode),
    ("jxl", "float32"): (lambda: imagecodecs.jpegxl_encode((RGB / 255).astype("float32"), lossless=True),
                         imagecodecs.jpegxl_decode),
}  # fmt: skip
"""Lossless formats: what another program writes, and how another reads it."""


@pytest.mark.parametrize(("end", "depth"), DEPTHS, ids=map(" ".join, DEPTHS))
def test_every_value_of_every_depth_comes_back(end, depth):
    write, read = DEPTHS[end, depth]
    content = bytes(write())
    _, result = again(content, end)
    if read is None:  # PNM of many bits, which others cut
        assert result == content
        return
    before, after = (read(io.BytesIO(one) if read is tifffile.imread else one) for one in (content, result))
    assert after.dtype == before.dtype
    assert np.array_equal(after, before)


@pytest.mark.parametrize("end", ["jpg", "avif", "heic", "gif"])
def test_lossy_formats_of_eight_bits_stay_close(end):
    content = in_heic(RGB, "RGB") if end == "heic" else pillow(RGB, end, **({} if end == "gif" else {"quality": 95}))
    _, result = again(content, end)
    assert np.abs(np.asarray(opened(result).convert("RGB")).astype(int) - RGB).mean() < 6


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_and_heic_of_more_bits_keep_them(bits):
    avif = imagecodecs.avif_encode(deep(bits), level=100, bitspersample=bits)
    picture, result = again(avif, "avif")
    assert picture.coding.bits == bits
    assert np.abs(imagecodecs.avif_decode(result).astype(int) - deep(bits)).mean() < 1 << (bits - 7)
    heic = in_heic(deep(16), "RGB;16", bits)
    assert bits_of_heic(heic) == bits
    picture, result = again(heic, "heic")
    assert np.abs(picture.pixels.astype(int) - deep(16)).mean() < 1500
    assert bits_of_heic(result) == bits
    assert np.abs(decode_picture(result, "b.heic").pixels.astype(int) - deep(16)).mean() < 2500


def test_a_jpeg_of_twelve_bits_keeps_them():
    _, result = again(bytes(imagecodecs.jpeg_encode(deep(12), level=98, bitspersample=12)), "jpg")
    again_read = imagecodecs.jpeg_decode(result)
    assert again_read.dtype == np.uint16
    assert np.abs(again_read.astype(int) - deep(12)).mean() < 30


@pytest.mark.parametrize(("end", "bits"), [("tif", 1), ("tif", 4), ("png", 1), ("png", 2), ("png", 4), ("pgm", 1)])
def test_fewer_bits_become_eight_and_it_is_told(end, bits):
    levels = (X % (1 << bits)).astype(np.uint8)
    if end == "tif" and bits == 4:
        content = in_tiff(levels, bitspersample=4)
    elif bits == 1:
        content = pillow(Image.fromarray(levels * 255).convert("1"), end)
    else:
        import struct
        import zlib

        packed = np.packbits(np.unpackbits(levels[:, :, None], 2)[:, :, 8 - bits :].reshape(16, -1), 1)
        rows = b"".join(b"\0" + row.tobytes() for row in packed)
        parts = {b"IHDR": struct.pack(">IIBBBBB", 24, 16, bits, 0, 0, 0, 0), b"IDAT": zlib.compress(rows), b"IEND": b""}
        content = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts.items()
        )
    picture, result = again(content, end)
    assert any(f"its {bits} bit" in remark and "8." in remark for remark in picture.remarks)
    shown = tifffile.imread(io.BytesIO(result)) if end == "tif" else seen(result)
    assert np.array_equal(shown, (levels.astype(int) * 255 / ((1 << bits) - 1)).round())


@pytest.mark.parametrize("end", ["tif", "png", "webp", "avif", "bmp", "jp2", "jxl", "tga", "heic"])
def test_alpha_comes_back_without_loss(end):
    rgba = np.dstack([RGB, ALPHA])
    if end == "jxl":
        content = bytes(imagecodecs.jpegxl_encode(rgba, lossless=True))
    elif end == "heic":
        content = in_heic(rgba, "RGBA")
    elif end == "bmp":  # Pillow writes none that says so
        content = encode_picture(decode_picture(pillow(rgba, "png"), "a.png"), "a.bmp")
    else:
        content = pillow(rgba, end, **{"webp": {"lossless": True}, "avif": {"quality": 100}}.get(end, {}))
    before = decode_picture(content, f"a.{end}").alpha
    _, result = again(content, end)
    after = imagecodecs.jpegxl_decode(result) if end == "jxl" else seen(result)
    assert np.abs(before.astype(int) - ALPHA).max() <= (4 if end == "heic" else 0)
    assert np.abs(after[:, :, 3].astype(int) - before).max() <= (4 if end == "heic" else 0)


def test_gif_keeps_alpha_of_one_bit():
    rgba = np.dstack([RGB, np.where(X < 9, 0, 255).astype(np.uint8)])
    _, result = again(pillow(rgba, "gif"), "gif")
    assert np.array_equal(np.asarray(opened(result).convert("RGBA"))[:, :, 3], rgba[:, :, 3])


def test_premultiplied_alpha_stays_premultiplied():
    stored = np.dstack([(RGB * (ALPHA[:, :, None] / 255)).astype(np.uint8), ALPHA])
    picture, result = again(in_tiff(stored, extrasamples=["assocalpha"]), "tif")
    visible = ALPHA > 100
    assert np.abs(picture.pixels.astype(int) - RGB)[visible].max() <= 3, "straight, for the model"
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        assert file.pages[0].extrasamples == (1,)
        assert np.abs(file.asarray().astype(int) - stored).max() <= 1


@pytest.mark.parametrize("end", ["jpg", "ppm"])
def test_formats_without_alpha_say_so(end):
    picture = decode_picture(pillow(np.dstack([RGB, ALPHA]), "png"), "a.png")
    assert lost_in(picture, f"b.{end}") == (f"its transparency does not come back: {FORMATS['.' + end]} has none.",)
    assert seen(encode_picture(picture, f"b.{end}")).shape == (16, 24, 3)


@pytest.mark.parametrize("end", ["tif", "png", "webp", "gif", "avif"])
def test_all_pages_and_frames_come_back(end):
    frames = [Image.fromarray(np.roll(RGB, 5 * place, 1)) for place in range(3)]
    options = {} if end == "tif" else {"duration": [100, 200, 300], "loop": 2, **({"lossless": True} if end == "webp" else {})}
    options |= {"quality": 100, "subsampling": "4:4:4"} if end == "avif" else {}
    content = pillow(frames[0], end, save_all=True, append_images=frames[1:], **options)
    picture, result = again(content, end)
    assert picture.frames == 3
    with opened(result) as file:
        back = [(np.asarray(frame.convert("RGB")), frame.info.get("duration")) for frame in ImageSequence.Iterator(file)]
        assert end in ("tif", "avif") or file.info["loop"] == 2
    assert [duration for _, duration in back] == ([None] * 3 if end == "tif" else [100, 200, 300])
    for (shown, _), frame in zip(back, frames, strict=True):
        assert np.abs(shown.astype(int) - np.asarray(frame)).mean() < {"gif": 8, "avif": 4}.get(end, 1)


@pytest.mark.parametrize("end", ["jpg", "bmp", "jp2", "jxl", "tga", "ppm", "heic"])
def test_several_pages_are_refused_where_one_is_held(end):
    content = pillow(RGB, "tif", save_all=True, append_images=[Image.fromarray(RGB)])
    from isthmus.errors import DataError

    with pytest.raises(DataError, match="holds one picture, not 2"):
        encode_picture(decode_picture(content, "a.tif"), f"b.{end}")


@pytest.mark.parametrize("end", ["tif", "png", "jpg", "webp", "avif", "jp2", "heic"])
def test_profile_exif_and_xmp_come_back(end):
    from PIL.PngImagePlugin import PngInfo

    options = {"icc_profile": PROFILE, "exif": EXIF.tobytes(), "xmp": XMP}
    if end == "heic":
        content = in_heic(RGB, "RGB", **options)
    elif end == "jp2":
        content = encode_picture(decode_picture(pillow(RGB, "webp", lossless=True, **options), "a.webp"), "a.jp2")
    elif end == "png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        content = pillow(RGB, end, icc_profile=PROFILE, exif=EXIF.tobytes(), pnginfo=info)
    elif end == "tif":
        tags = Image.Exif()
        tags.load(EXIF.tobytes())
        tags[700] = XMP
        content = pillow(RGB, end, icc_profile=PROFILE, exif=tags)
    else:
        content = pillow(RGB, end, **options)
    _, result = again(content, end)
    assert lost_in(decode_picture(content, f"a.{end}"), f"b.{end}") == ()
    assert XMP in result
    if end == "jp2":  # Pillow reads no metadata of it
        assert PROFILE in result
        assert b"JpgTiffExif->JP2" in result
        assert b"a maker" in result
        return
    with opened(result) as file:
        assert file.info["icc_profile"] == PROFILE
        exif = file.getexif()
        assert exif[0x010F] == "a maker"
        assert exif.get_ifd(0x8769)[0x829A] == 0.5


@pytest.mark.parametrize("big", [False, True])
def test_exif_and_gps_of_all_pages_of_a_tiff_come_back(big):
    """tifffile writes neither."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0a long comment of the user"
    exif.get_ifd(0x8825)[0x001D] = "2026:11:28"
    content = pillow(RGB, "tif", exif=exif.tobytes(), save_all=True, append_images=[Image.fromarray(RGB)], big_tiff=big)
    picture, result = again(content, "tif")
    assert result[2:4] == (b"+\0" if big else b"*\0")
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        assert len(file.pages) == 2
        assert np.array_equal(file.pages[1].asarray(), RGB)
        tags = file.pages[0].tags
        assert tags[34665].value["UserComment"] == "a long comment of the user"
        assert tags[34853].value["GPSDateStamp"] == "2026:11:28"
        assert [tag.code for tag in tags] == sorted(tag.code for tag in tags)
    assert picture.frames == 2


@pytest.mark.parametrize("end", ["bmp", "gif", "jxl", "ppm", "tga"])
def test_metadata_that_a_format_does_not_keep_is_told(end):
    picture = decode_picture(pillow(RGB, "webp", icc_profile=PROFILE, exif=EXIF.tobytes()), "a.webp")
    kind, held = FORMATS["." + end], "EXIF" if end == "bmp" else "EXIF, color profile"
    assert lost_in(picture, f"b.{end}") == (f"metadata does not come back ({held}): {kind} is written without.",)


def test_metadata_of_a_deep_avif_is_told():
    content = bytes(imagecodecs.png_encode(deep(10) << 6))
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    from isthmus.imaging.notes import with_chunks

    picture = decode_picture(with_chunks(content, [(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))]), "a.png")
    assert lost_in(picture, "b.avif") == ("metadata does not come back (EXIF): AVIF of more than 8 bits is written without.",)


def test_resolution_and_texts_come_back():
    _, jpeg = again(pillow(RGB, "jpg", dpi=(300, 300), comment=b"hello"), "jpg")
    with opened(jpeg) as file:
        assert (file.info["dpi"], file.info["comment"]) == ((300, 300), b"hello")
    _, bmp = again(pillow(RGB, "bmp", dpi=(300, 300)), "bmp")
    with opened(bmp) as file:
        assert file.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    _, gif = again(pillow(RGB, "gif", comment=b"hello"), "gif")
    with opened(gif) as file:
        assert file.info["comment"] == b"hello"


@pytest.mark.parametrize("compression", ["lzw", "adobe_deflate", "packbits", "lzma", "zstd", "jpeg", "none"])
def test_the_compression_of_a_tiff_stays(compression):
    content = in_tiff(RGB, compression=None if compression == "none" else compression)
    _, result = again(content, "tif")
    with tifffile.TiffFile(io.BytesIO(content)) as before, tifffile.TiffFile(io.BytesIO(result)) as after:
        assert after.pages[0].compression == before.pages[0].compression


@pytest.mark.parametrize("compression", ["webp", "png", "jpeg2000", "lerc"])
def test_other_compressions_of_a_tiff_become_deflate(compression):
    content = in_tiff(RGB, compression=compression)
    picture, result = again(content, "tif")
    with tifffile.TiffFile(io.BytesIO(result)) as after:
        assert after.pages[0].compression == 8
        assert np.array_equal(after.asarray(), picture.pixels)


@pytest.mark.parametrize(("quality", "subsampling"), [(95, 0), (90, 1), (85, 2)])
def test_the_tables_and_subsampling_of_a_jpeg_stay(quality, subsampling):
    content = pillow(RGB, "jpg", quality=quality, subsampling=subsampling, progressive=subsampling == 1)
    _, result = again(content, "jpg")
    with opened(content) as before, opened(result) as after:
        assert after.quantization == before.quantization
        assert after.layer == before.layer
        assert after.info.get("progressive") == before.info.get("progressive")


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_the_subsampling_of_an_avif_stays(subsampling):
    content = pillow(RGB, "avif", subsampling=subsampling)
    _, result = again(content, "avif")
    flags = [one[one.find(b"av1C") + 6] & 0x0C for one in (content, result)]
    assert flags == [{"4:4:4": 0, "4:2:2": 8, "4:2:0": 12}[subsampling]] * 2


def test_a_jpeg_of_low_quality_is_written_with_85():
    _, result = again(pillow(RGB, "jpg", quality=20), "jpg")
    assert opened(result).quantization == opened(pillow(RGB, "jpg", quality=85)).quantization


@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_stays_lossy_or_lossless(lossless):
    _, result = again(pillow(RGB, "webp", lossless=lossless), "webp")
    assert (b"VP8L" in result) == lossless


def test_a_packed_tga_stays_packed():
    _, packed = again(pillow(RGB, "tga", compression="tga_rle"), "tga")
    _, plain = again(pillow(RGB, "tga"), "tga")
    assert (packed[2], plain[2]) == (10, 2)


def test_a_raw_comes_back_as_a_tiff_of_sixteen_bits(tmp_path, model_files, run):
    pytest.importorskip("rawpy", reason="needs the extra [camera]")
    mosaic = np.full((64, 96), 500, np.uint16)
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = 900, 300  # red, and blue, of RGGB
    ones = b"".join(int(part).to_bytes(4, "little", signed=True) for k in range(9) for part in (k % 4 == 0, 1))
    tags = [
        (50706, 1, 4, b"\1\4\0\0", True), (50708, 2, 5, b"Test\0", True), (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, b"\0\1\1\2", True), (50714, 3, 1, 0, True), (50717, 3, 1, 1023, True),
        (50721, 10, 9, ones, True), (50778, 3, 1, 21, True), (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),
        (271, 2, 5, b"Make\0", True), (272, 2, 6, b"Model\0", True),
    ]  # fmt: skip
    tifffile.imwrite(tmp_path / "a.dng", mosaic, photometric=32803, extratags=tags, metadata=None)
    status, _, err = run("restore", model_files["color"], tmp_path / "a.dng", "--out", tmp_path / "out")
    assert (status, err) == (0, "isthmus: a.dng: a RAW comes back as a TIFF of 16 bits.\n")
    result = tifffile.imread(tmp_path / "out" / "a.tif")
    assert (result.dtype, result.shape) == (np.uint16, (64, 96, 3))
    red, green, blue = decode_picture((tmp_path / "a.dng").read_bytes(), "a.dng").pixels[8:-8, 8:-8].mean((0, 1))
    assert red > green > blue > 0


def test_the_table_in_the_docs_names_all_formats():
    text = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Za-z0-9 ]+?)(?:,[^|]*)? \|", text, re.M)
    names = {{"JPEG 2000": "JP2", "JPEG XL": "JXL", "PNM": "PPM", "WebP": "WEBP"}.get(row, row) for row in rows}
    assert set(FORMATS.values()) <= names
