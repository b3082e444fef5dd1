#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace omni::tokenizers {

// What a pickled state dictionary is made of.
struct PickleValue {
  enum class Kind {
    none,
    mark,
    boolean,
    integer,
    real,
    text,
    list,
    tuple,
    dictionary,
    global,
    storage,
    tensor,
    opaque
  };
  Kind kind = Kind::none;
  std::int64_t integer = 0;  // integers and booleans; a storage's element count; a tensor's first element
  std::string text;          // texts; a global's "module name"; a storage's key
  std::string dtype;         // of a storage: "FloatStorage", ...
  std::vector<std::int64_t> sizes, strides;  // of a tensor
  std::vector<const PickleValue*> items;     // lists and tuples; a tensor's storage
  std::vector<std::pair<const PickleValue*, const PickleValue*>> entries;  // dictionaries
};

// The values own nothing of each other, so that a stream which nests a value in itself does no harm.
struct Pickle {
  std::deque<PickleValue> values;
  const PickleValue* root = nullptr;
};

// Reads a pickle (protocol 2 to 5) without running anything: the only callables are OrderedDict, which makes
// an empty dictionary, and PyTorch's _rebuild_tensor_v2 and _rebuild_parameter, which make a tensor's
// description; torch.Size and encoded bytes give opaque values. Throws Error(input) for anything else that is called,
// by its name, for an unknown opcode and for a broken stream.
Pickle read_pickle(std::span<const std::byte> bytes);

}  // namespace omni::tokenizers
