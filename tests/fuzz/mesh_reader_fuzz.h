#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "../../src/geometry/mesh_formats.h"
#include "../support/allocation_peak.h"
#include "omni/core/error.h"
#include "omni/core/log.h"

namespace omni::fuzz {

// What the fuzz targets of the mesh readers have in common.

[[noreturn]] inline void broken(const char* what, std::size_t number) {
  std::fprintf(stderr, "mesh reader: %s (%zu)\n", what, number);
  std::abort();
}

inline void check(const geometry::Mesh& mesh) {
  if (mesh.triangles.empty()) broken("no triangles", 0);
  for (const auto& triangle : mesh.triangles)
    for (const std::uint32_t index : triangle)
      if (index >= mesh.positions.size()) broken("an index out of range", index);
  for (const geometry::Vec3& p : mesh.positions)
    if (!std::isfinite(p.x) || !std::isfinite(p.y) || !std::isfinite(p.z)) broken("a position", 0);
  if (!mesh.colours.empty() && mesh.colours.size() != mesh.positions.size())
    broken("colours", mesh.colours.size());
  if (!mesh.normals.empty() && mesh.normals.size() != mesh.positions.size())
    broken("normals", mesh.normals.size());
}

// Of things that a reader leaves out, each of which is one warning.
constexpr std::size_t kMostKinds = 32;

// Reads `data`: a sound mesh or an Error, with at most ten times the bytes allocated beyond `floor`.
template <class Read>
int run(const std::uint8_t* data, std::size_t size, std::size_t floor, const Read& read) {
  set_log_level(LogLevel::off);
  const test::AllocationPeak peak;
  try {
    geometry::ReadNotes notes;
    check(read(std::as_bytes(std::span(data, size)), notes));
    if (notes.notes().size() > kMostKinds) broken("a note for each flaw", notes.notes().size());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input && error.kind() != ErrorKind::io) throw;
  }
  if (peak.bytes() > 10 * size + floor) broken("too much was allocated", peak.bytes());
  return 0;
}

}  // namespace omni::fuzz
