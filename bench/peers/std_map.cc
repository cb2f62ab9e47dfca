/* std::map. */
#include <iterator>
#include <map>

template <class Key, class Value> using ordered_map = std::map<Key, Value>;

#include "ordered.h"

VA_PEER(va_std_map, "std::map");
