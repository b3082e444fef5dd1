#pragma once

#include <cstdint>

// Which tiles of a packed sequence attention visits, and which of them need a mask: plain arithmetic over the
// spans, for kernels and for tests on the processor alike.

#ifdef __CUDACC__
#define OMNI_HOST_AND_DEVICE __host__ __device__ __forceinline__
#else
#define OMNI_HOST_AND_DEVICE inline
#endif

namespace omni::cuda {

// The keys that a row sees: first <= key < last.
struct Span {
  int first, last;
  OMNI_HOST_AND_DEVICE bool sees(int key) const { return first <= key && key < last; }
};

// How much of a rectangle of rows and keys is seen; by monotony its first and last row tell.
enum class Sight { none, some, all };
OMNI_HOST_AND_DEVICE Sight sight_of(const Span& first_row, const Span& last_row, int key_begin, int key_end) {
  if (first_row.first >= key_end || last_row.last <= key_begin) return Sight::none;
  return last_row.first <= key_begin && first_row.last >= key_end ? Sight::all : Sight::some;
}

// The spans of a sequence's rows; what lies outside of [0, key_rows) is cut, so that wrong ones read nothing
// outside of the tensors. Both arrays never decrease.
struct RowSpans {
  const std::int32_t *key_first, *key_last;
  int key_rows;
  OMNI_HOST_AND_DEVICE Span of(int row) const {
    const int first = key_first[row], last = key_last[row];
    return {first > 0 ? first : 0, last < key_rows ? last : key_rows};
  }
};

// Walks over the tiles of kKeys keys that at least one of the rows [row_begin, row_end) sees, in order, each
// once, and no others. One thread is enough: a cursor moves over the rows, and no row is read again once no
// later tile can be seen by it.
template <int kKeys>
class SeenKeyTiles {
 public:
  OMNI_HOST_AND_DEVICE SeenKeyTiles(const RowSpans& spans, int row_begin, int row_end)
      : spans_(spans), row_(row_begin), row_end_(row_end) {
    seek(0);
  }

  OMNI_HOST_AND_DEVICE bool done() const { return row_ >= row_end_; }
  OMNI_HOST_AND_DEVICE int key() const { return key_; }
  OMNI_HOST_AND_DEVICE void next() { seek(key_ + kKeys); }

 private:
  // To the tile of the first key from `key` on that a row sees. Earlier rows end before it, later ones begin
  // no earlier than the row at the cursor.
  OMNI_HOST_AND_DEVICE void seek(int key) {
    for (; row_ < row_end_; ++row_) {
      const Span span = spans_.of(row_);
      if (span.last <= key || span.first >= span.last) continue;
      key_ = (span.first > key ? span.first : key) / kKeys * kKeys;
      return;
    }
  }

  RowSpans spans_;
  int row_, row_end_;
  int key_ = 0;
};

// Walks over the tiles of kQueries rows of the range of those that see a tile of keys, for each head of a
// group from the first one on. The tiles begin with the range, so the last one may reach beyond it.
template <int kQueries>
class SeeingQueryTiles {
 public:
  // row_begin: the first row that ends after the keys begin; row_end: the first one that begins after they
  // end. Nothing is walked over where these leave no row.
  OMNI_HOST_AND_DEVICE SeeingQueryTiles(int row_begin, int row_end, int first_head, int heads)
      : row_begin_(row_begin),
        row_end_(row_end),
        row_(row_begin),
        head_(first_head),
        heads_left_(row_begin < row_end ? heads : 0) {}

  OMNI_HOST_AND_DEVICE bool done() const { return heads_left_ == 0; }
  OMNI_HOST_AND_DEVICE int head() const { return head_; }
  OMNI_HOST_AND_DEVICE int row() const { return row_; }
  OMNI_HOST_AND_DEVICE void next() {
    row_ += kQueries;
    if (row_ < row_end_) return;
    row_ = row_begin_;
    ++head_;
    --heads_left_;
  }

 private:
  int row_begin_, row_end_, row_, head_, heads_left_;
};

}  // namespace omni::cuda
