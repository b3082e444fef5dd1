#pragma once

#include <map>
#include <utility>

#include "omni/generation/drawn_choices.h"

namespace omni::generation::testing {

// Keeps what it is told `notes` times, and nothing later: as if drawing had been stopped then.
class RecordingKeeper final : public DrawKeeper {
 public:
  explicit RecordingKeeper(int notes) : notes_left_(notes) {}

  DrawnChoices begun(const DrawPlace& place) override {
    const auto found = kept_.find({place.request, place.number});
    return found == kept_.end() ? DrawnChoices() : found->second;
  }
  void refuse(const DrawPlace& place) override { refused.emplace_back(place.request, place.number); }
  void note(std::span<const DrawPlace> places, std::span<const DrawnChoices> drawn, bool) override {
    if (notes_left_-- <= 0) return;
    for (std::size_t i = 0; i < places.size(); ++i) kept_[{places[i].request, places[i].number}] = drawn[i];
  }

  DrawnChoices& kept(std::size_t request, std::uint64_t number) { return kept_[{request, number}]; }
  std::size_t tokens() const {
    std::size_t count = 0;
    for (const auto& [place, drawn] : kept_) count += drawn.tokens.size();
    return count;
  }

  std::vector<std::pair<std::size_t, std::uint64_t>> refused;

 private:
  int notes_left_;
  std::map<std::pair<std::size_t, std::uint64_t>, DrawnChoices> kept_;
};

}  // namespace omni::generation::testing
