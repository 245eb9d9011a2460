// Opens the sockets that a server listens on.
#pragma once

#include "apps/server/gate.h"

namespace lectern::server {

// Not blocking, closed on exec. Sets `port` to the one that was bound, 0 for a UNIX socket. A socket file
// that nobody listens on is replaced; the new one is for its owner only. Throws Error that names the address.
int open_listener(const Listening& listening, int& port);

// A process may hold so many files; as many as the system lets us have.
void raise_file_limit();

}  // namespace lectern::server
