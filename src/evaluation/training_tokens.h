#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "omni/data/token_dataset.h"
#include "omni/generation/request.h"
#include "omni/tokenizers/tokenizer_set.h"

namespace omni::evaluation {

struct TrainingObject {
  std::string id;
  double variation = 0;  // of the source that it came from
  tokenizers::ShapeCodes codes;
};

// What a model saw in training, from its shards: which shapes it could recite, and which picture of theirs is
// nearest to another one. The tokenizers must outlive it.
class TrainingTokens {
 public:
  // Throws as TokenDataset::open, and Error(input) for shards of other tokenizers.
  TrainingTokens(const std::vector<std::string>& folders, const tokenizers::TokenizerSet& tokenizers);

  // Whether an object of the training split has exactly these geometry codes.
  bool has_geometry(std::span<const std::int32_t> codes) const;
  // The training object one of whose pictures from the same direction is nearest to these codes of a picture:
  // by the summed squared distances of the codes' vectors, place by place. Nothing where there is none.
  std::optional<TrainingObject> nearest_by_picture(std::span<const std::int32_t> picture,
                                                   const generation::View& view) const;

 private:
  struct Picture {
    std::int64_t object, view;
  };
  data::TokenDataset dataset_;
  std::unordered_set<std::uint64_t> geometries_;                                    // hashes of codes
  std::map<std::pair<std::int32_t, std::int32_t>, std::vector<Picture>> pictures_;  // by bins of the view
  std::vector<float> vectors_;  // of the codes of pictures, [codes, width_]
  std::size_t width_ = 0;
};

}  // namespace omni::evaluation
