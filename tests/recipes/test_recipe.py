import json
from dataclasses import replace

import pytest

from isthmus import Recipe, UsageError
from isthmus.recipes import PRESETS, base_fields, find_recipe
from isthmus.recipes.chapter import CHAPTER


def refusal(**fields):
    with pytest.raises(UsageError) as refused:
        Recipe(**fields)
    return str(refused.value)


def test_all_unknown_names_are_told_at_once():
    assert refusal(task="denose", model="cnv", loss="bcee", code_kind="rellu", schedule="linear", precision="float16") == (
        "Unknown task 'denose'. Did you mean 'denoise'? There are: reconstruct, denoise, colorize, upscale, repair, inpaint, "
        "pairs, noisy, describe. "
        "Unknown model 'cnv'. Did you mean 'conv'? There are: dense, conv, photographic, global. "
        "Unknown loss 'bcee'. Did you mean 'bce'? There are: bce, mse, psnr, l1, ab, ab-huber, ab-mixed, ab-bins. "
        "Unknown kind of code 'rellu'. Did you mean 'relu'? There are: relu, linear, gaussian, invariant. "
        "Unknown schedule 'linear'. There are: one-cycle, constant. "
        "Unknown precision 'float16'. Did you mean 'bfloat16'? There are: auto, float32, bfloat16."
    )


def test_all_unfit_values_are_told_at_once():
    assert refusal(code=-1, hidden=(8, 0), epochs=-2, batch_size=-5, learning_rate=11, size=(0, 5), seed=-1) == (
        "code must be 1 or more, not -1. "
        "hidden must be at most 64 numbers, each 1 or more, not (8, 0). "
        "epochs must be above 0, not -2. "
        "batch_size must be 1 or more, not -5. "
        "learning_rate must be above 0 and at most 10, not 11. "
        "size must be two numbers from 1 up, height and width, not (0, 5). "
        "seed must be between 0 and 2,147,483,647, not -1."
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"beta": -1}, "beta must be 0 or more, not -1."),
        ({"beta": float("nan")}, "beta must be 0 or more, not nan."),
        ({"beta_warm_up": 1.5}, "beta_warm_up must be between 0 and 1, not 1.5."),
        ({"prepare": "binarise"}, "Unknown corruption 'binarise'. Did you mean 'binarize'? There are: nothing, "),
        (
            {"hidden": (4, 5), "decoder_hidden": (5,)},
            "decoder_hidden must be as many numbers as hidden has (2), each 1 or more, not (5,).",
        ),
        (
            {"hidden": (4,), "decoder_hidden": (0,)},
            "decoder_hidden must be as many numbers as hidden has (1)",
        ),
    ],
    ids=str,
)
def test_what_a_code_or_a_decoder_cannot_be_is_refused(fields, message):
    assert refusal(**fields).startswith(message)


def test_the_decoder_mirrors_the_encoder_unless_it_has_widths_of_its_own():
    assert Recipe(hidden=(4, 5, 6)).complete().decoder_hidden == (6, 5, 4)
    assert Recipe(model="conv").complete().decoder_hidden == (8, 16)
    assert Recipe(hidden=(4, 5), decoder_hidden=(9, 7)).complete().decoder_hidden == (9, 7)


def test_what_is_prepared_is_written_whole():
    assert Recipe().complete().prepare == "nothing"
    assert Recipe(prepare="erase(0.2)").complete().prepare == "erase(side=0.2)"


@pytest.mark.parametrize("budget", ["soon", "10 d", "0", "-5s", "1h30m"])
def test_a_budget_that_is_no_time_is_refused(budget):
    assert refusal(budget=budget) == f"budget must be a time such as 90s, 10m or 1h, not {budget}."


@pytest.mark.parametrize(("budget", "seconds"), [("90s", 90), ("90", 90), ("1.5m", 90), ("1h", 3600), (" 2 m", 120), (None, None)])
def test_a_budget_is_read_as_time(budget, seconds):
    assert Recipe(budget=budget).budget_seconds == seconds


def test_epochs_and_a_budget_exclude_each_other():
    assert refusal(epochs=3, budget="1m") == "Pass either epochs (3) or a budget (1m), not both."
    assert Recipe(budget="1m").complete().epochs is None
    assert Recipe().complete().epochs == 10


@pytest.mark.parametrize("fields", [{"noise": 0.1}, {"noise": 0.1, "task": "denoise", "corruption": "nothing"}])
def test_noise_needs_the_denoise_task(fields):
    assert refusal(**fields) == '`noise` belongs to `task="denoise"` without a `corruption`.'


def test_noise_becomes_the_corruption():
    recipe = Recipe(task="denoise", noise=0.2)
    assert recipe.noise == 0.2, "what is given stays"
    assert recipe.complete().corruption == "gaussian-noise(std=0.2, clip=True)"
    assert recipe.complete() == Recipe(task="denoise", corruption="gaussian-noise(0.2)").complete()
    assert replace(recipe, noise=(0.1, 0.3)).complete().corruption == "gaussian-noise(std=(0.1, 0.3), clip=True)"
    assert recipe.complete().complete() == recipe.complete()


@pytest.mark.parametrize(
    ("corruption", "message"),
    [
        ("gausian-noise", "Unknown corruption 'gausian-noise'. Did you mean 'gaussian-noise'? There are: nothing, "),
        ("gaussian-noise(loud=1)", "Cannot read 'loud=1' in 'gaussian-noise(loud=1)': gaussian-noise takes std, clip."),
        ("gaussian-noise(loud)", "Cannot read 'loud' in 'gaussian-noise(loud)': gaussian-noise takes std, clip."),
        ("gaussian-noise(99)", "The standard deviation of noise must be between 0 and 10 (the textbook's is 0.5), not 99"),
        ("salt-and-pepper(2)", "The share of replaced pixels must be between 0 and 1, not 2."),
        ("nothing(1)", "Cannot read '1' in 'nothing(1)': nothing takes no values."),
        ("gaussian-noise(", "Cannot read the corruption 'gaussian-noise(': write it like gaussian-noise(0.5)."),
    ],
)
def test_a_corruption_that_cannot_be_read_is_refused(corruption, message):
    assert refusal(corruption=corruption).startswith(message)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(model="dense", hidden=(), budget="10m"),
        Recipe(task="denoise", noise=0.3, hidden=(4, 5), size=(20, 30), seed=7),
        Recipe(hidden=(4, 5), decoder_hidden=(9, 7), prepare="binarize", beta=0.0, beta_warm_up=0.0, warm_up=0.0),
        *PRESETS.values(),
    ],
)
def test_json_round_trip(recipe):
    text = json.dumps(recipe.to_json())
    assert Recipe.from_json(json.loads(text)) == recipe
    assert json.loads(text) == recipe.to_json()


def test_an_unknown_field_is_told_the_nearest():
    with pytest.raises(UsageError) as refused:
        Recipe.from_json({"epoch": 3})
    assert str(refused.value).startswith("A recipe has no field 'epoch'. Did you mean 'epochs'? Fields: task, noise, ")


@pytest.mark.parametrize("fields", [{"epochs": "three"}, {"hidden": 5}, {"size": ["a", "b"]}, {"budget": 5}])
def test_a_field_of_the_wrong_type_is_refused(fields):
    with pytest.raises(UsageError):
        Recipe.from_json(fields)


def test_the_books_schedule_is_the_books():
    for chapter, epochs in zip(CHAPTER.values(), (20, 20, 100), strict=True):
        book = chapter.as_in_the_book()
        assert (book.epochs, book.batch_size, book.learning_rate, book.schedule) == (epochs, 200, 1e-3, "constant")
        assert (book.model, book.code, book.hidden) == (chapter.recipe.model, chapter.recipe.code, chapter.recipe.hidden)


@pytest.mark.parametrize("name", PRESETS)
def test_a_named_recipe_is_found_and_begun_from(name):
    assert find_recipe(name) == PRESETS[name]
    assert Recipe.from_json(base_fields(name, set())) == PRESETS[name]


def test_the_chapters_recipes_have_names():
    assert [PRESETS[f"chapter-{name}"] for name in CHAPTER] == [chapter.recipe for chapter in CHAPTER.values()]


def test_a_recipe_in_a_file_is_begun_from_with_its_zeros_too(tmp_path):
    recipe = Recipe(model="conv", hidden=(), beta=0.0, beta_warm_up=0.0, warm_up=0.0, budget="1m", size=(8, 9), seed=4)
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe.to_json()))
    assert find_recipe(str(path)) == recipe
    assert Recipe.from_json(base_fields(str(path), set())) == recipe


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("vae", {"epochs": 3}, {"epochs": 3, "prepare": "binarize", "hidden": (512, 512)}),
        ("vae", {"budget": "9s"}, {"epochs": None, "budget": "9s"}),
        ("chapter-denoising", {"noise": 0.2}, {"task": "denoise", "corruption": "gaussian-noise(std=0.2, clip=True)"}),
        ("chapter-denoising", {"corruption": "erase"}, {"task": "denoise", "corruption": "erase(side=0.4)"}),
        ("chapter-denoising", {"task": "reconstruct"}, {"corruption": "nothing", "hidden": (32, 32)}),
        ("features", {"hidden": (4, 5)}, {"hidden": (4, 5), "decoder_hidden": (5, 4), "code": 256}),
        ("features", {"decoder_hidden": (9, 8, 7, 6)}, {"hidden": (16, 32, 64, 128), "decoder_hidden": (9, 8, 7, 6)}),
    ],
    ids=str,
)
def test_what_is_given_changes_the_recipe_begun_from(name, given, expected):
    recipe = Recipe.from_json({**base_fields(name, set(given)), **given}).complete()
    assert {field: getattr(recipe, field) for field in expected} == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no recipe at {path}: no such file or directory."),
        ("{", "{path} is no recipe: it is not valid JSON ("),
        ("[1]", "{path} is no recipe: it is not a JSON object of fields."),
        ('{"epoch": 3}', "A recipe has no field 'epoch'. Did you mean 'epochs'?"),
        ('{"epochs": "many"}', "A field of the recipe has the wrong type: "),
        ("\udcff", "{path} is no recipe: it is not valid JSON ("),
    ],
)
def test_a_file_that_holds_no_recipe_is_refused(content, message, tmp_path):
    path = tmp_path / "recipe.json"
    if content is not None:
        path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UsageError) as refused:
        find_recipe(str(path))
    assert str(refused.value).startswith(message.format(path=path))


def test_an_unknown_recipe_is_told_the_nearest():
    with pytest.raises(UsageError, match=r"^'denoise' is a task, not a recipe\. Pass it as `task`\.$"):
        find_recipe("denoise")
    with pytest.raises(UsageError, match=r"Unknown recipe 'feature'\. Did you mean 'features'\? There are: chapter-dense, "):
        find_recipe("feature")
