"""Meshes that a flow carries: refinement, degree about a target, the separation certificate, covering radius (math.md §7)."""

from wflow.meshes.certificate import Certificate, certify
from wflow.meshes.covering import Covering, covering_radius
from wflow.meshes.degree import crossings, degree, distances, preimages, total_angle
from wflow.meshes.mesh import Mesh, box, circle, sphere

__all__ = [
    "Certificate", "Covering", "Mesh", "box", "certify", "circle", "covering_radius", "crossings", "degree", "distances", "preimages",
    "sphere", "total_angle",
]  # fmt: skip
