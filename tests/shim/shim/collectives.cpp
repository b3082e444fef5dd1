#include "shim/collectives.h"

namespace omni::shim {
namespace {

void combine_ballot(const LaneRequest* lanes, unsigned mask) {
  unsigned votes = 0;
  for (unsigned i = 0; i < 32; ++i)
    if (mask >> i & 1u && *static_cast<const bool*>(lanes[i].input)) votes |= 1u << i;
  for (unsigned i = 0; i < 32; ++i)
    if (mask >> i & 1u) *static_cast<unsigned*>(lanes[i].output) = votes;
}

}  // namespace

void combine_nothing(const LaneRequest*, unsigned) {}

unsigned ballot(unsigned mask, bool predicate, Site site) {
  static constexpr Collective kBallot{"__ballot_sync", &combine_ballot};
  unsigned output = 0;
  warp_collective(kBallot, mask, {&predicate, &output}, site);
  return output;
}

}  // namespace omni::shim
