#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace omni::generation {

// The choices of one draw that were made, from its first one on: from them and its program it goes on as if it had
// never stopped.
struct DrawnChoices {
  std::vector<std::int32_t> tokens;  // in the numbering of TokenChoice::allowed
  double log_probability = 0;        // of all of them together, in nats
  double seconds = 0;                // its share of the time that they took
};

// One draw of make_samples(): its request, and the number of its sample times best_of plus which of the sample's draws
// it is.
struct DrawPlace {
  std::size_t request = 0;
  std::uint64_t number = 0;
};

// Keeps what is drawn of samples that are not made yet, so that a later call goes on with it after Ctrl-C or a kill.
// Called by the thread that draws.
class DrawKeeper {
 public:
  virtual ~DrawKeeper() = default;

  // What was drawn before; without tokens: nothing.
  virtual DrawnChoices begun(const DrawPlace& place) = 0;
  // Those choices are none that this model could have made of this request: the draw begins anew.
  virtual void refuse(const DrawPlace& place) = 0;
  // All that is drawn of a batch by now: after each step or stretch, and once more when it has ended, whole or
  // interrupted. The spans are good for the call.
  virtual void note(std::span<const DrawPlace> places, std::span<const DrawnChoices> drawn, bool ended) = 0;
};

}  // namespace omni::generation
