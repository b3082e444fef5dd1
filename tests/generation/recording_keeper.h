#pragma once

#include <map>
#include <utility>

#include "omni/generation/drawn_choices.h"

namespace omni::test {

// Keeps what it is told `notes` times, and nothing later: as if drawing had been stopped then.
class RecordingKeeper final : public generation::DrawKeeper {
 public:
  explicit RecordingKeeper(int notes) : notes_left_(notes) {}

  generation::DrawnChoices begun(const generation::DrawPlace& place) override {
    const auto found = kept_.find({place.request, place.number});
    return found == kept_.end() ? generation::DrawnChoices() : found->second;
  }
  void refuse(const generation::DrawPlace& place) override {
    refused.emplace_back(place.request, place.number);
  }
  void note(std::span<const generation::DrawPlace> places, std::span<const generation::DrawnChoices> drawn,
            bool) override {
    if (notes_left_-- <= 0) return;
    for (std::size_t i = 0; i < places.size(); ++i) kept_[{places[i].request, places[i].number}] = drawn[i];
  }

  generation::DrawnChoices& kept(std::size_t request, std::uint64_t number) {
    return kept_[{request, number}];
  }
  std::size_t tokens() const {
    std::size_t count = 0;
    for (const auto& [place, drawn] : kept_) count += drawn.tokens.size();
    return count;
  }

  std::vector<std::pair<std::size_t, std::uint64_t>> refused;

 private:
  int notes_left_;
  std::map<std::pair<std::size_t, std::uint64_t>, generation::DrawnChoices> kept_;
};

}  // namespace omni::test
