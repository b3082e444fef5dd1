"""The three pieces of benchmarks/geometry.cpp as a Python user writes them, on the files that it wrote.

usage: geometry.py FOLDER
"""
import statistics
import sys
import time

import numpy as np
import skimage.measure
import trimesh


def median_ms(repeats, work):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


folder = sys.argv[1]
field = np.load(folder + "/field.npy")
sizes = []
extraction = median_ms(
    5, lambda: sizes.append(len(skimage.measure.marching_cubes(field, 0.0, spacing=(2.1 / 256,) * 3)[1])))
print(f"extraction: {extraction:.2f} ms ({sizes[-1]} triangles)")

mesh = trimesh.load(folder + "/mesh.ply", process=False)


def sample():
    fresh = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    points, faces = trimesh.sample.sample_surface(fresh, 8192)
    return points, fresh.face_normals[faces]


print(f"sampling: {median_ms(5, sample):.2f} ms ({len(mesh.faces)} faces)")

queries = np.load(folder + "/queries.npy")
mesh.triangles_tree  # the queries alone are timed
print(f"distance: {median_ms(3, lambda: trimesh.proximity.closest_point(mesh, queries)):.2f} ms ({len(queries)} queries)")
