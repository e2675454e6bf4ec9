// Carries what changes often (colours, selection, neighbours, pictures) to a map of the same key, so that the map's own
// large message stays the same; and carries its wish for pictures back.

export default function (component) {
  const { data, setTriggerValue } = component;
  const hub = ((window.seminarMaps ??= {})[data.key] ??= {});
  hub.want = (items) => setTriggerValue("wanted", items);
  hub.pictures = Object.assign(hub.pictures && hub.digest === data.digest ? hub.pictures : {}, data.pictures);
  hub.digest = data.digest;
  hub.style = data;
  hub.map?.restyle(data);
}
