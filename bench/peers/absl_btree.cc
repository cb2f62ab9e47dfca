/* absl::btree_map. */
#include <absl/container/btree_map.h>
#include <iterator>

template <class Key, class Value> using ordered_map = absl::btree_map<Key, Value>;

#include "ordered.h"

VA_PEER(va_absl_btree, "absl::btree_map");
