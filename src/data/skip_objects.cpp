#include "omni/core/error.h"
#include "omni/data/object_source.h"

namespace omni::data {
namespace {

class SkippingSource final : public ObjectSource {
 public:
  SkippingSource(std::unique_ptr<ObjectSource> source, std::int64_t skipped)
      : source_(std::move(source)), skipped_(skipped) {}

  std::int64_t size() const override { return source_->size() - skipped_; }
  ObjectRecord load(std::int64_t index) const override {
    if (index < 0) fail(ErrorKind::usage, "loading object ", index, ": objects are numbered from 0");
    return source_->load(index + skipped_);
  }
  std::uint64_t fingerprint() const override {
    return hash_combine(source_->fingerprint(), static_cast<std::uint64_t>(skipped_));
  }

 private:
  std::unique_ptr<ObjectSource> source_;
  std::int64_t skipped_;
};

}  // namespace

std::unique_ptr<ObjectSource> skip_objects(std::unique_ptr<ObjectSource> source, std::int64_t count) {
  if (count < 0 || count >= source->size()) {
    fail(ErrorKind::usage, "skipping ", count, " of ", source->size(), " objects leaves none");
  }
  return std::make_unique<SkippingSource>(std::move(source), count);
}

}  // namespace omni::data
