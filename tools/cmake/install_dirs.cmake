# Where things are installed. On Debian libraries go to lib/ARCHITECTURE under every prefix, not just under /usr, so that
# a package can be made from any build.
if(CMAKE_LIBRARY_ARCHITECTURE AND EXISTS /etc/debian_version)
  set(CMAKE_INSTALL_LIBDIR lib/${CMAKE_LIBRARY_ARCHITECTURE} CACHE PATH "Libraries")
endif()
include(GNUInstallDirs)
