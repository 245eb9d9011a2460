// Which requests the engine serves first.
#pragma once

namespace lectern {

// Somebody waits for what an interactive request gives. Bulk work gets the rest of each step, and never
// nothing: a quarter at least (scheduler.h).
enum class Priority { kInteractive, kBulk };

}  // namespace lectern
