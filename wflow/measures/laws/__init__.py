"""Initial laws: products of independent factors, as i.i.d. samples, scrambled Sobol points, Gauss quadratures or quantisers."""

from wflow.measures.laws.controls import all_dead, sign_locked, silent, single_point
from wflow.measures.laws.factors import Law, Moments, Normal, Point, Uniform
from wflow.measures.laws.product import Product, student
from wflow.measures.laws.sphere import Sphere

__all__ = ["Law", "Moments", "Normal", "Point", "Product", "Sphere", "Uniform", "all_dead", "sign_locked", "silent", "single_point",
           "student"]  # fmt: skip
