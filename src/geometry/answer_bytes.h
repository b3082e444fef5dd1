#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "mesh_formats.h"
#include "omni/core/error.h"

namespace omni::geometry {

// How a reader that runs in a process of its own hands back what it read: lists of plain values, each behind
// its length.
template <class T>
void put_list(std::vector<std::byte>& bytes, std::span<const T> values) {
  append_bytes(bytes, static_cast<std::uint64_t>(values.size()));
  const auto raw = std::as_bytes(values);
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

template <class Container>
Container take_list(std::span<const std::byte>& bytes) {
  using T = typename Container::value_type;
  std::uint64_t count = 0;
  ensure(bytes.size() >= sizeof(count), "a short answer of the mesh reader");
  std::memcpy(&count, bytes.data(), sizeof(count));
  bytes = bytes.subspan(sizeof(count));
  ensure(count <= bytes.size() / sizeof(T), "a short answer of the mesh reader");
  Container values(count, T{});
  if (count > 0) std::memcpy(values.data(), bytes.data(), count * sizeof(T));
  bytes = bytes.subspan(count * sizeof(T));
  return values;
}

}  // namespace omni::geometry
