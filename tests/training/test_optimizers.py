"""Muon: steps of matrices along the nearest orthogonal ones, by SVD; of vectors as Adam takes them."""

import math

import pytest
import torch

from isthmus.recipes import Recipe
from isthmus.training.optimizers import AS_LARGE_AS_ADAMS, OPTIMIZERS, Muon, orthogonal


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (5, 5), (1, 9)])
def test_all_singular_values_come_close_to_one_and_the_vectors_stay(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    assert len(values) == 1 or values[0] > 2 * values[-1]
    turned = left.mT @ orthogonal(matrix) @ right.mT
    torch.testing.assert_close(turned, turned.diag().diag(), atol=1e-9, rtol=0)
    assert turned.diag().min() > 0.65
    assert turned.diag().max() < 1.25


def test_the_products_alone_give_what_the_iteration_on_the_matrix_gives():
    matrix = torch.randn(16, 60, generator=torch.Generator().manual_seed(1))
    expected = matrix.double() / matrix.double().norm()
    for _ in range(5):
        products = expected @ expected.mT
        expected = 3.4445 * expected + (-4.7750 * products + 2.0315 * products @ products) @ expected
    torch.testing.assert_close(orthogonal(matrix).double(), expected, atol=1e-5, rtol=0)


def test_a_gradient_of_nothing_is_no_step():
    assert not orthogonal(torch.zeros(3, 4)).any()


def test_a_kernel_steps_as_a_matrix_and_a_vector_as_with_adam():
    chance = torch.Generator().manual_seed(2)
    kernel, vector = (torch.nn.Parameter(torch.randn(shape, generator=chance)) for shape in ((4, 3, 3, 3), (4,)))
    same = torch.nn.Parameter(vector.detach().clone())
    muon, adam = Muon([kernel, vector], lr=0.1, betas=(0.9, 0.99)), torch.optim.Adam([same], lr=0.1, betas=(0.9, 0.99))
    momentum = torch.zeros(4, 27)
    for _ in range(3):
        before = kernel.detach().clone()
        kernel.grad, vector.grad = (torch.randn(each.shape, generator=chance) for each in (kernel, vector))
        same.grad = vector.grad.clone()
        gradient = kernel.grad.clone().flatten(1)
        muon.step()
        adam.step()
        momentum = 0.9 * momentum + 0.1 * gradient
        expected = 0.1 * AS_LARGE_AS_ADAMS * math.sqrt(27) * orthogonal(0.1 * gradient + 0.9 * momentum)
        torch.testing.assert_close((before - kernel.detach()).flatten(1), expected)
    assert torch.equal(vector, same)


def test_its_rate_is_three_times_adams_unless_given():
    assert [Recipe(model="conv", **more).complete().learning_rate for more in ({}, {"optimizer": "muon"})] == [0.01, 0.03]
    assert Recipe(model="conv", optimizer="muon", learning_rate=0.02).complete().learning_rate == 0.02


def test_an_architecture_has_an_optimizer_of_its_own():
    def chosen(**fields):
        recipe = Recipe(**fields).complete()
        return recipe.optimizer, recipe.learning_rate

    assert chosen(model="photographic") == ("muon", pytest.approx(0.003))
    assert chosen(model="photographic", optimizer="adam") == ("adam", 0.001)
    assert chosen(model="global") == ("adam", 8e-4)


def test_a_step_is_as_large_as_one_of_adam():
    """Within a factor of two, as the square root of the mean square, for gradients of chance."""
    weight = torch.nn.Parameter(torch.zeros(64, 576))
    muon = OPTIMIZERS["muon"]([weight], lr=1e-3, betas=(0.9, 0.99))
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    muon.step()
    assert 0.5e-4 < weight.detach().square().mean().sqrt() < 4e-4
