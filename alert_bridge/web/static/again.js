// Asks for this very address once more, from our own site. The detour by another address makes it a navigation although
// only the anchor, which the server never sees, could differ.
"use strict";
const target = location.href;
history.replaceState(null, "", "/login");
location.replace(target);
