#include "shape_folder.h"

#include <algorithm>

#include "omni/core/error.h"

namespace omni::tokenizers {

StoredTokenizer stored_shape(const std::string& layout,
                             const std::function<void(ConfigVisitor&)>& description,
                             const nn::ParameterStore& parameters, bool half_precision) {
  std::string chosen = layout;
  StoredTokenizer stored{.config = config_to_yaml([&](ConfigVisitor& v) {
                           v.choice("layout", chosen, {"grid", "vecset"});
                           v.section(layout, description);
                         }),
                         .weights = {},
                         .metadata = {{"format", "omni.shape." + layout}}};
  const at::ScalarType type = half_precision ? at::kHalf : at::kFloat;
  for (const auto& parameter : parameters.all())
    stored.weights.emplace_back(parameter.name, parameter.value.detach().to(type));
  return stored;
}

void for_equal_lengths(std::span<const ShapeCodes> codes, std::size_t batch,
                       const std::function<void(std::span<const ShapeCodes>)>& decode) {
  for (std::size_t begin = 0; begin < codes.size();) {
    std::size_t end = begin + 1;
    while (end < codes.size() && end - begin < batch &&
           codes[end].geometry.size() == codes[begin].geometry.size())
      ++end;
    decode(codes.subspan(begin, end - begin));
    begin = end;
  }
}

std::int64_t offered_length(const ShapeCodes& codes, const ShapeTokenizer& tokenizer) {
  const std::vector<std::int64_t> lengths = tokenizer.offered_lengths();
  const auto own = static_cast<std::int64_t>(codes.geometry.size());
  return std::find(lengths.begin(), lengths.end(), own) != lengths.end() ? own : lengths.back();
}

at::Tensor code_tensor(std::span<const ShapeCodes> codes, std::vector<std::int32_t> ShapeCodes::*member,
                       std::int64_t length, std::int64_t vocabulary, const char* what) {
  at::Tensor indices = at::empty({static_cast<std::int64_t>(codes.size()), length}, at::kLong);
  auto* data = indices.data_ptr<std::int64_t>();
  for (const auto& shape : codes) {
    const auto& values = shape.*member;
    if (static_cast<std::int64_t>(values.size()) != length)
      fail(ErrorKind::usage, "decoding a shape: ", values.size(), " ", what,
           " codes where the tokenizer has ", length, ". Use codes of this tokenizer");
    for (const auto code : values) {
      if (code < 0 || code >= vocabulary)
        fail(ErrorKind::usage, "decoding a shape: ", what, " code ", code, " is not below ", vocabulary,
             ". Use codes of this tokenizer");
      *data++ = code;
    }
  }
  return indices;
}

std::vector<std::int32_t> code_row(const at::Tensor& indices, std::int64_t row) {
  const at::Tensor flat = indices[row].flatten().to(at::kInt).contiguous();
  return {flat.data_ptr<std::int32_t>(), flat.data_ptr<std::int32_t>() + flat.numel()};
}

}  // namespace omni::tokenizers
