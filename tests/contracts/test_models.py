"""What every entry of NETWORKS, with every task, code and loss, promises by being registered.

A network that sees whole pictures gives colors only, of whole pictures: tests/networks/test_global_unet.py.
"""

import numpy as np
import pytest
import torch

import isthmus
from isthmus.evaluation.likelihood import importance_weighted_bound
from isthmus.model import Model
from isthmus.networks import NETWORKS
from isthmus.networks.base import Network
from isthmus.networks.bottlenecks import BOTTLENECKS
from isthmus.networks.losses import LOSSES
from isthmus.recipes.tasks import TASKS
from isthmus.training.validation import losses as training_losses

SHAPES = [(1, 28, 28), (3, 8, 8), (1, 1, 1), (1, 1, 9), (2, 7, 1), (3, 13, 5), (4, 17, 31)]

models = pytest.mark.parametrize("name", [name for name, architecture in NETWORKS.items() if not architecture.working_size])
decoders = pytest.mark.parametrize("name", [name for name, architecture in NETWORKS.items() if not architecture.carries_detail])
tasks = pytest.mark.parametrize("task", TASKS)
codes = pytest.mark.parametrize("code_kind", BOTTLENECKS)
losses = pytest.mark.parametrize("loss", LOSSES)
decoded = pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if not loss.needs_seen])
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def born(name, shape, **fields):
    """Return a model with fresh weights."""
    torch.manual_seed(0)
    return Model(isthmus.Recipe(model=name, **fields), shape, device="cpu")


def some(count, shape):
    return np.random.default_rng(5).random((count, *shape), np.float32)


@models
@tasks
@shapes
def test_maps_what_it_sees_to_the_clean_shape(name, task, shape):
    if task == "colorize":
        shape = (3, *shape[1:])
    model = born(name, shape, task=task)
    clean = some(3, shape)
    seen = model.degradation.corrupt(clean)
    assert seen.shape == (3, model.corruption.input_channels(shape[0]), *shape[1:])
    restored = model.engine.restore_inputs(seen)
    assert restored.shape == clean.shape
    assert restored.dtype == np.float32
    assert restored.min() >= 0
    assert restored.max() <= 1
    assert np.isfinite(training_losses(model, seen, clean)).all()


@pytest.mark.parametrize(
    "name", [name for name, architecture in NETWORKS.items() if architecture.any_size and not architecture.working_size]
)
@shapes
def test_an_any_size_model_takes_sizes_that_it_was_not_built_for(name, shape):
    model = born(name, (shape[0], 28, 28))
    assert model.restore(some(2, shape)).shape == (2, *shape)


@pytest.mark.parametrize(
    "name", [name for name, architecture in NETWORKS.items() if architecture.any_size and not architecture.working_size]
)
@pytest.mark.parametrize("hidden", [(9,), (9, 8), (9, 8, 7)], ids=len)
def test_a_picture_in_tiles_shows_no_seam(name, hidden, monkeypatch):
    model = born(name, (1, 28, 28), hidden=hidden, code=9, code_kind="linear")
    picture = some(1, (1, 150, 131))
    for half, close in ((False, 1e-5), (True, 5e-3)):  # bfloat16 has 8 bits
        with monkeypatch.context() as patch:
            patch.setattr(model.engine, "bfloat16", half)
            whole = model.engine.restore_inputs(picture)
            assert whole.std() > 0.01
            patch.setattr(model.engine, "tile_side", 64)
            assert np.abs(model.engine.restore_inputs(picture) - whole).max() < close
            assert np.abs(model.restore(picture) - whole).max() < close


@pytest.mark.parametrize("name", NETWORKS)
@codes
@shapes
def test_says_the_shape_of_its_code(name, code_kind, shape):
    if NETWORKS[name].working_size:
        shape = (3, *shape[1:])  # it gives colors
    model = born(name, shape, code_kind=code_kind, task="colorize" if NETWORKS[name].working_size else "reconstruct")
    channels = model.corruption.input_channels(shape[0])
    with torch.inference_mode():
        encoded, _ = model.network.encode(torch.zeros(1, channels, *shape[1:]))
    assert model.code_shape() == tuple(model.bottleneck.point(encoded).shape[1:])
    assert (
        Network.code_shape(model.network, (channels, *shape[1:])) == model.code_shape()
    )  # how a network finds it that does not say


@pytest.mark.parametrize("name", [name for name, architecture in NETWORKS.items() if not architecture.any_size])
def test_a_fixed_size_model_refuses_other_sizes(name):
    with pytest.raises(isthmus.DataError, match=f"have 9 x 8 pixels, and this {name} model takes 8 x 8 only"):
        born(name, (1, 8, 8)).restore(some(2, (1, 9, 8)))


@decoders
@codes
@decoded
@shapes
def test_decode_of_encode_is_restore(name, code_kind, loss, shape):
    model = born(name, shape, code_kind=code_kind, loss=loss)
    images = some(5, shape)
    code = model.encode(images)
    assert code.shape == (5, *model.code_shape(shape[1:]))
    assert np.array_equal(model.decode(code, shape[1:]), model.restore(images))


@pytest.mark.parametrize(
    "name", [name for name, architecture in NETWORKS.items() if architecture.carries_detail and not architecture.working_size]
)
def test_codes_that_are_no_images_alone_are_not_decoded(name):
    model = born(name, (1, 16, 16), code_kind="gaussian")
    codes = model.encode(some(2, (1, 16, 16)))
    assert codes.shape == (2, *model.code_shape())
    for act in (lambda: model.decode(codes), lambda: model.generate(2)):
        with pytest.raises(
            isthmus.DataError, match=f"A {name} model with the loss mse passes detail around its code, so codes alone give no image"
        ):
            act()
    with pytest.raises(isthmus.UsageError, match=f"A {name} model passes detail around its code: no likelihood bound"):
        importance_weighted_bound(model, np.ones((1, 1, 16, 16), np.float32), 5)


@decoders
def test_decode_of_encode_is_restore_over_many_chunks(name):
    model = born(name, (1, 128, 128))
    images = some(40, (1, 128, 128))
    assert np.array_equal(model.decode(model.encode(images), (128, 128)), model.restore(images))


@models
@tasks
@codes
def test_a_saved_model_gives_identical_output(name, task, code_kind, tmp_path):
    shape = (3, 12, 10)
    model = born(name, shape, task=task, code_kind=code_kind)
    model.save(tmp_path / "model.safetensors")
    again = isthmus.load(tmp_path / "model.safetensors", device="cpu")
    seen = model.degradation.corrupt(some(4, shape))
    assert np.array_equal(again.engine.restore_inputs(seen), model.engine.restore_inputs(seen))
    assert again.recipe == model.recipe
    assert again.image_shape == model.image_shape


@models
@tasks
def test_restores_what_a_person_has_as_it_restores_what_is_seen(name, task):
    model = born(name, (3, 12, 8), task=task)
    example = model.degradation.sample(some(4, (6 if task == "pairs" else 3, 12, 8)))
    mask = example.degraded[:, 3] if model.takes_mask else None
    restored = model.restore(example.degraded if model.takes_hints else example.degraded[:, :3], mask=mask)
    assert restored.shape == example.clean.shape
    expected = model.engine.restore_inputs(example.model_input)
    if mask is not None:
        expected = np.where(mask[:, None] == 1, expected, example.clean)
    assert np.allclose(restored, expected, atol=2e-3)


@models
@tasks
def test_at_no_strength_only_size_and_colors_change(name, task):
    model = born(name, (3, 12, 8), task=task)
    at_inference = model.degradation.sample(some(4, (6 if task == "pairs" else 3, 12, 8))).degraded
    mask = at_inference[:, 3] if model.takes_mask else None
    at_inference = at_inference if model.takes_hints else at_inference[:, :3]
    none, half, full = (model.restore(at_inference, mask=mask, strength=strength) for strength in (0, 0.5, 1))
    assert np.allclose(half, (none + full) / 2, atol=1e-5)
    if none.shape == at_inference.shape:
        assert np.allclose(none, at_inference)
    with pytest.raises(isthmus.UsageError, match=r"The strength must be between 0 and 1, not 1\.5\."):
        model.restore(at_inference, mask=mask, strength=1.5)


@models
@tasks
@losses
@codes
def test_every_parameter_learns(name, task, loss, code_kind):
    shape = (3 if LOSSES[loss].needs_seen else 1, 8, 8)
    model = born(name, shape, task=task, loss=loss, code_kind=code_kind)
    clean = torch.from_numpy(some(64, shape))
    seen = torch.from_numpy(model.degradation.corrupt(clean.repeat(model.bottleneck.views, 1, 1, 1).numpy()))
    output, divergence = model.network.training_pass(seen, torch.Generator())
    (model.loss(output, clean) + divergence.mean()).backward()
    for parameter, tensor in model.network.named_parameters():
        assert tensor.grad is not None, parameter
        assert tensor.grad.abs().sum() > 0, parameter


@codes
def test_a_code_keeps_count_and_size(code_kind):
    code = BOTTLENECKS[code_kind]
    for size in ((), (4, 3)):
        encoded = torch.randn(2 * code.views, 6 * code.outputs_per_number, *size)
        drawn, divergence = code.draw(encoded, torch.Generator())
        assert code.point(encoded).shape == (2 * code.views, 6, *size)
        assert drawn.shape == (2, 6, *size)
        assert divergence.shape in ((), (2,))
        assert (divergence >= 0).all()


@codes
def test_a_code_draws_and_invents_by_the_generator_alone(code_kind):
    code = BOTTLENECKS[code_kind]
    encoded = torch.randn(4, 6 * code.outputs_per_number)
    for act in (
        lambda: code.draw(encoded, torch.Generator().manual_seed(3))[0],
        lambda: code.invent((5, 2, 3), torch.Generator().manual_seed(3), lambda: torch.ones(5, 6)),
    ):
        assert torch.equal(act(), act())
    assert code.invent((5, 2, 3), torch.Generator(), lambda: torch.ones(5, 6)).shape == (5, 2, 3)


@models
@codes
def test_the_decoders_own_widths_are_kept(name, code_kind, tmp_path):
    model = born(name, (1, 12, 10), code_kind=code_kind, hidden=(5, 6), decoder_hidden=(9, 4))
    mirrored = born(name, (1, 12, 10), code_kind=code_kind, hidden=(5, 6))
    assert model.code_shape() == mirrored.code_shape()
    assert model.num_parameters != mirrored.num_parameters
    model.save(tmp_path / "model.safetensors")
    images = some(3, (1, 12, 10))
    again = isthmus.load(tmp_path / "model.safetensors", device="cpu")
    assert np.array_equal(again.restore(images), model.restore(images))


@decoded
def test_a_loss_is_smaller_for_the_truth(loss):
    clean = torch.from_numpy((some(2, (1, 4, 4)) > 0.5).astype(np.float32))
    right = (clean - 0.5) * 20 if LOSSES[loss].logits else clean
    wrong = -right if LOSSES[loss].logits else 1 - clean
    assert LOSSES[loss](right, clean) < LOSSES[loss](wrong, clean)
    assert LOSSES[loss](right, clean, reduction="none").shape in (clean.shape, (2, 1)), "of each value, or of each image"
    assert torch.allclose(LOSSES[loss].image(right), clean, atol=1e-3)


@decoded
def test_a_loss_reads_any_output_as_an_image(loss):
    image = LOSSES[loss].image(torch.linspace(-100, 100, 50))
    assert image.min() >= 0
    assert image.max() <= 1
