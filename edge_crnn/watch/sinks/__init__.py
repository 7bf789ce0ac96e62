"""Where events go.

form          an event as JSON, which lines, MQTT, the webhook and the page share
queued        a thread with a bounded queue, for everything that takes time
group         several sinks as one, which are closed side by side
hashed        plates as keyed hashes in place of text and crop
lines         JSON lines in a file
snapshots     JPEG files in dated folders
retention     which files are too old or too many
broker        the connection to an MQTT broker
published     what the sinks share that publish at a broker
discovery     the messages that make Home Assistant create entities
mqtt          events for Home Assistant and others
frigate       events in the form of Frigate
webhook       events as HTTP requests
"""
